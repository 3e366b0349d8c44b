-- The published bars since a day, and the quarantined bars with the response that they come from.
SELECT symbol, trade_date, CAST(NULL AS VARCHAR) AS quarantined_from
FROM ${published_prices} AS p
WHERE trade_date >= ${since}
UNION ALL
SELECT symbol, trade_date, MAX(payload) AS quarantined_from
FROM ${published_quarantine} AS q
WHERE trade_date >= ${since}
GROUP BY symbol, trade_date
