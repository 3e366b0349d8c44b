"""Commits audited loads, and nothing else."""
