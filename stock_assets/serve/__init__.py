"""Reading published tables: views, panels of dashboards, queries and the report.

Belongs here: every statement over published tables, and what is drawn from them. Does not belong here: writing to them
(`publish`), Dagster's assets (`orchestration.assets`), printing (`cli`).
"""
