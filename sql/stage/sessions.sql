-- For each session with a bar in a load: symbols, bars to publish, quarantined bars.
SELECT
    t.trade_date,
    COUNT(*)                                                                         AS symbols,
    CASE WHEN MAX(e.session) IS NOT NULL THEN 0 ELSE COUNT(*) - COUNT(q.symbol) END  AS published_rows,
    COUNT(q.symbol)                                                                  AS quarantined
FROM ${typed_prices} AS t
JOIN ${sessions} AS c ON c.session = t.trade_date
LEFT JOIN ${excluded_sessions} AS e ON e.session = t.trade_date
LEFT JOIN (SELECT DISTINCT symbol, trade_date FROM ${quarantined_prices}) AS q
    ON  q.symbol = t.symbol AND q.trade_date = t.trade_date
GROUP BY t.trade_date
ORDER BY t.trade_date
