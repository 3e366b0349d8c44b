"""Tests of the files in `infra/`: the AWS stack, the Grafana dashboards, and their schemas."""
