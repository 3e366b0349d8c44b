"""Tests of `stock_assets.orchestration.sensors`.

Belongs here: what a sensor requests, sends and stores when it is evaluated. Does not belong here: finding gaps
(`coverage`), delivery through channels (`alerts`), sensors in a real daemon (`daemon`).
"""
