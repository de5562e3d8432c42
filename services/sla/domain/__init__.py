"""What is allowed: policies, ladders, clocks, escalations."""
