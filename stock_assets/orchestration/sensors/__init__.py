"""The sensors: catch-up and landing files start runs, alerts and freshness notify people.

Belongs here: evaluating state and requesting runs. Does not belong here: finding gaps (`coverage`), sending alerts
(`alerts`).
"""
