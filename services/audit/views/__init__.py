"""Every fact on one line, and the cases that they are about."""
