"""Maintain the stored data: compaction, expiry and removal, and the retention periods."""
