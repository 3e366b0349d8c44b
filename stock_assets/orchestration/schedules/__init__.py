"""The schedules: weekdays after the market close, and maintenance on Sundays.

Belongs here: when a job runs. Does not belong here: what it runs (`jobs`).
"""
