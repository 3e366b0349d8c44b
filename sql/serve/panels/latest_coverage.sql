-- Share of the expected symbols that are published for the latest session.
SELECT MAX_BY(coverage_pct, trade_date) AS coverage_pct
FROM ${coverage} AS c
