"""The Dagster instance of the local backend: where runs and events are kept, and how its folder is configured.

Belongs here: what `dagster.yaml` names. Does not belong here: starting runs (`runs`), the configuration's text
(`infra/local/dagster.yaml`).
"""
