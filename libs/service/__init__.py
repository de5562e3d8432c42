"""What every program needs: settings, database pools, doors, problems, tokens, telemetry, health, and the wiring."""
