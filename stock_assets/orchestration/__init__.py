"""Everything that Dagster sees: definitions, assets, checks, jobs, schedules, sensors, runs and the instance.

Belongs here: all code that imports Dagster, except the command line. Does not belong here: what a step does (the
packages of the data path).
"""
