-- Rows and symbols of each published session of a range, and how many of the symbols were listed on it.
SELECT
    p.trade_date,
    COUNT(*)                  AS row_count,
    COUNT(DISTINCT p.symbol)  AS symbols,
    COUNT(DISTINCT l.symbol)  AS listed_symbols
FROM ${published_prices} AS p
LEFT JOIN ${listings} AS l
    ON  l.symbol = p.symbol
    AND l.first_session <= p.trade_date
    AND (l.last_session IS NULL OR p.trade_date <= l.last_session)
WHERE p.trade_date BETWEEN ${start_date} AND ${end_date}
GROUP BY p.trade_date
