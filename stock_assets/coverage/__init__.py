"""Compare the published tables with what they should contain: missing bars, freshness, and the runs worth starting.

Belongs here: what is published, missing or rejected, and what to request or load next. Does not belong here: starting
runs (`orchestration`), requesting prices (`ingest`).
"""
