"""Readers of the shipped data: pure, from files to what is posted at the gateway's doors, in event-time order."""
