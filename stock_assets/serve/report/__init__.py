"""The report: published prices as charts in one HTML file, which any browser opens without a network.

Belongs here: data, charts, page and storage of the report. Does not belong here: panels that the dashboards share
(`serve.panels`), the asset (`orchestration.assets`).
"""
