"""Everything that Dagster sees: assets, checks, jobs, schedules, sensors, and the instance.

Belongs here: definitions, and everything that imports Dagster. Does not belong here: the work of a step (`pipeline` and
the packages behind it), printing (`cli`).
"""
