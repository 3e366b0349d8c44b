-- The bars that this load quarantined, with the name of the audit that they failed.
SELECT CAST(${prefix} || audit AS VARCHAR) AS audit, symbol, trade_date, detail
FROM ${quarantined_prices} AS q
