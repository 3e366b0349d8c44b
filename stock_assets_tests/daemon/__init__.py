"""Tests with Dagster's daemon, web server and browser as real processes."""
