"""What came in: requests by case, work items by tracker, deliveries counted."""
