"""Where Baton runs: the native platform, the compose file, and the settings both share."""
