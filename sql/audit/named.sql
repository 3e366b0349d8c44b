-- The bad rows of one audit, with the name of the audit.
SELECT CAST(${audit} AS VARCHAR) AS audit, symbol, trade_date, CAST(detail AS VARCHAR) AS detail
FROM (${bad_rows}) AS b
