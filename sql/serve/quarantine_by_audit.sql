-- Number of bars that each row audit quarantined, one row per session and audit. A bar that failed several audits
-- counts once per audit.
SELECT trade_date, audit, COUNT(*) AS bars
FROM ${published_quarantine} AS q
GROUP BY trade_date, audit
