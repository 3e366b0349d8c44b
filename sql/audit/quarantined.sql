-- The bars this load quarantined, under the name of the audit they failed.
SELECT CAST(${prefix} || audit AS VARCHAR) AS audit, symbol, trade_date, detail
FROM ${quarantined_prices} AS q
