"""What can be looked up, one question a file."""
