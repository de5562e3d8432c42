"""The command line `baton`."""
