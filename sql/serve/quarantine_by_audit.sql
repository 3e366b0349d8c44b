-- How many bars each row audit keeps in quarantine, a row per session and audit. A bar that failed several counts in
-- each.
SELECT trade_date, audit, COUNT(*) AS bars
FROM ${published_quarantine} AS q
GROUP BY trade_date, audit
