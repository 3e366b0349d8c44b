-- For each requested session of a load: symbols, rows to publish, quarantined bars.
SELECT
    t.trade_date,
    COUNT(DISTINCT t.symbol)                              AS symbols,
    COUNT(DISTINCT t.symbol) - COUNT(DISTINCT q.symbol)   AS published_rows,
    COUNT(DISTINCT q.symbol)                              AS quarantined
FROM ${typed_prices} AS t
LEFT JOIN ${quarantined_prices} AS q ON q.symbol = t.symbol AND q.trade_date = t.trade_date
GROUP BY t.trade_date
ORDER BY t.trade_date
