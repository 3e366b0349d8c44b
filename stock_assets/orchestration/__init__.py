"""Dagster: assets, jobs, schedules, sensors and checks around the pipeline.

Belongs here: everything that imports Dagster, except commands. Does not belong here: the steps of the data path
(`ingest`, `stage`, `audit`, `publish`, `serve`), which run without Dagster.
"""
