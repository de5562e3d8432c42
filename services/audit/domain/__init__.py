"""Telling a history: pure, so that a replay of the raw journal tells the same."""
