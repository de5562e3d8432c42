"""What is allowed in an organisation."""
