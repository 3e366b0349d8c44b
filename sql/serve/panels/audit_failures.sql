-- Bars quarantined by each row audit.
SELECT CAST(trade_date AS TIMESTAMP) AS time, audit, bars
FROM ${quarantine_by_audit} AS q
WHERE ${dates}
ORDER BY time, audit
