"""Grafana on Athena: dashboards and alert rules as code, and the files that provision them."""
