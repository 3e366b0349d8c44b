"""Reads what was published: queries, summaries, and the command line's tables."""
