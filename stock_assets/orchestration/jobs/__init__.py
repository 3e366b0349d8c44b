"""The jobs: the daily load and the maintenance.

Belongs here: what a job runs. Does not belong here: when it runs (`schedules`, `sensors`).
"""
