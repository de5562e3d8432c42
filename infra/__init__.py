"""Where Baton runs: the native platform, the compose file, the settings both share; and its contracts, for others."""
