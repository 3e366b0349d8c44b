-- The bar was fetched after the closing bell of its session; before it, a bar is only the day so far.
-- remedy: materialize the session again after the close.
SELECT
    b.symbol,
    b.trade_date,
    'fetched at ' || CAST(b.fetched_at AS VARCHAR) || ', closed at ' || CAST(s.closes_at AS VARCHAR) AS detail
FROM ${bars} AS b
JOIN ${sessions} AS s ON s.session = b.trade_date
WHERE b.fetched_at < s.closes_at
