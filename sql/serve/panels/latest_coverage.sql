-- Share of the expected symbols that the latest session has.
SELECT MAX_BY(coverage_pct, trade_date) AS coverage_pct
FROM ${coverage} AS c
