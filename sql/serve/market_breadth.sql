-- Number of symbols per session that closed above their open, and above and below their previous close.
SELECT
    trade_date,
    COUNT(*)                                                    AS symbols,
    COUNT(CASE WHEN is_market_up THEN symbol END)               AS up_symbols,
    CAST(COUNT(CASE WHEN is_market_up THEN symbol END) AS DOUBLE) / CAST(COUNT(*) AS DOUBLE) * 1E2 AS up_share_pct,
    COUNT(CASE WHEN price_change_pct > 0E0 THEN symbol END)     AS advancers,
    COUNT(CASE WHEN price_change_pct < 0E0 THEN symbol END)     AS decliners
FROM ${published_prices} AS p
GROUP BY trade_date
