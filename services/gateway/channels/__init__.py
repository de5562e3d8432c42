"""How the outside speaks: CloudEvents, an ERP's messages, Jira's webhooks; each read by pure functions."""
