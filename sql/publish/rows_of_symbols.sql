-- The rows of some symbols in a published table.
SELECT
    symbol,
    COUNT(*)                    AS row_count,
    COUNT(DISTINCT trade_date)  AS sessions,
    MIN(trade_date)             AS first_date,
    MAX(trade_date)             AS last_date
FROM ${published_rows} AS p
WHERE symbol IN (SELECT symbol FROM ${purged_symbols} AS s)
GROUP BY symbol
