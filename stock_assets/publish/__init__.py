"""Commit audited loads to the published tables, and nothing else."""
