"""The assets of the data path, in the order raw, staged, published, views, report, dashboards.

Belongs here: definitions and metadata of assets. Does not belong here: checks (`checks`), the work itself (`pipeline`).
"""
