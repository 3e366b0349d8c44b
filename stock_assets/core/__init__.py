"""Concepts that all packages share; nothing here uses the network or writes."""
