-- Correlation of the daily price changes of each two symbols over their common sessions; NULL with fewer than 20.
WITH changes AS (
    SELECT symbol, trade_date, price_change_pct
    FROM ${price_trends} AS t
    WHERE price_change_pct IS NOT NULL AND ${dates} AND ${symbols}
)
SELECT
    a.symbol,
    b.symbol                                                                            AS other_symbol,
    COUNT(*)                                                                            AS sessions,
    CASE WHEN COUNT(*) >= 20 THEN CORR(a.price_change_pct, b.price_change_pct) END      AS correlation
FROM changes AS a
JOIN changes AS b ON b.trade_date = a.trade_date AND a.symbol < b.symbol
GROUP BY a.symbol, b.symbol
ORDER BY symbol, other_symbol
