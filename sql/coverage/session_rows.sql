-- Rows and symbols of each session of a range, how many of the symbols were listed on it, and a digest of all values
-- (row_numbers.sql).
SELECT
    p.trade_date,
    COUNT(*)                  AS row_count,
    COUNT(DISTINCT p.symbol)  AS symbols,
    COUNT(DISTINCT l.symbol)  AS listed_symbols,
    CAST(SUM(p.number) AS BIGINT) AS digest
FROM (${row_numbers}) AS p
LEFT JOIN ${listings} AS l
    ON  l.symbol = p.symbol
    AND l.first_session <= p.trade_date
    AND (l.last_session IS NULL OR p.trade_date <= l.last_session)
GROUP BY p.trade_date
