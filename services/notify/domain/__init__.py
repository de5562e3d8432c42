"""What is allowed: messages, their words, and who is meant."""
