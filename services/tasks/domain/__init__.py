"""What is allowed with templates and cases."""
