"""The asset checks: symbols and files on the raw assets, audits on the staged asset, freshness on the published one.

Belongs here: how results are shown in Dagster. Does not belong here: computing them (`ingest`, `audit`, `coverage`).
"""
