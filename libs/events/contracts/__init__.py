"""The language of the system: every fact that leaves a service, one file per owner."""
