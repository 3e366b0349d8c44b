"""Typed rows with metrics: one load at a time, read by audit and publish only."""
