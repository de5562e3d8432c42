"""What is allowed: goals, KPIs, and how KPIs are measured."""
