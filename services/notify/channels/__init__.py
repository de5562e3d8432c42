"""The ways out of the inbox: e-mail by SMTP, signed webhooks."""
