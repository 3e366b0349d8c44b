"""Tests of the report: its data, its page, and the page in a real browser."""
