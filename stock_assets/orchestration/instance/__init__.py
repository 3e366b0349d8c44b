"""The Dagster instance of the local backend: storage of runs and events, and the configuration of its folder.

Belongs here: classes that `dagster.yaml` names, and private names of Dagster. Does not belong here: starting runs
(`runs`), the configuration's text (`infra/local/dagster.yaml`).
"""
