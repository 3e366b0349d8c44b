-- The published bars of some sessions, and the quarantined bars with their response and what each audit found.
SELECT
    symbol,
    trade_date,
    CAST(NULL AS VARCHAR) AS quarantined_from,
    CAST(NULL AS VARCHAR) AS audit,
    CAST(NULL AS VARCHAR) AS detail
FROM ${published_prices} AS p
WHERE trade_date BETWEEN ${since} AND ${until}
UNION ALL
SELECT symbol, trade_date, payload AS quarantined_from, audit, detail
FROM ${published_quarantine} AS q
WHERE trade_date BETWEEN ${since} AND ${until}
