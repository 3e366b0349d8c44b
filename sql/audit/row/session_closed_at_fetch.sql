-- The bar was fetched after the market close of its session; before it, a bar covers only part of the day.
-- remedy: load the session again after the market close; the bar is requested again.
SELECT
    b.symbol,
    b.trade_date,
    'fetched at ' || DATE_FORMAT(b.fetched_at, '%Y-%m-%d %H:%i:%s')
        || ', closed at ' || DATE_FORMAT(s.closes_at, '%Y-%m-%d %H:%i:%s') AS detail
FROM ${bars} AS b
JOIN ${sessions} AS s ON s.session = b.trade_date
WHERE b.fetched_at < s.closes_at
