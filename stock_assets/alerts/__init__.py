"""Alerts: what an incident is, where messages go, and how each message is delivered once."""
