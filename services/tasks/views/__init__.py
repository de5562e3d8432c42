"""What tasks shows: one question, one file."""
