-- Rows that a later row of the same symbol and session contradicts. A row written before the market close is not a
-- contradiction: it describes an incomplete day.
SELECT
    o.symbol,
    o.trade_date,
    o.name,
    o.line,
    o.content,
    n.name     AS newer_name,
    n.line     AS newer_line,
    n.content  AS newer_content
FROM ${ranked_rows} AS o
JOIN ${ranked_rows} AS n ON n.symbol = o.symbol AND n.trade_date = o.trade_date AND n.age = 1
    AND n.copy_age = 1
WHERE o.age > 1 AND o.copy_age = 1 AND o.written_at >= o.closes_at
ORDER BY o.symbol, o.trade_date, o.age
