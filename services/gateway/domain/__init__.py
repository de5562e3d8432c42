"""What is taken in once, and what contradicts what was taken in before."""
