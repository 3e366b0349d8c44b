-- The vendor did not change a bar that is already published; if it did, the newer bar is published.
-- remedy: none needed; inform consumers who used the earlier values.
SELECT
    s.symbol,
    s.trade_date,
    CONCAT_WS(', ',
        CASE WHEN s.open_price IS DISTINCT FROM p.open_price THEN
            'open ' || CAST(CAST(ROUND(p.open_price, 4) AS DECIMAL(18, 4)) AS VARCHAR)
                || ' -> ' || CAST(CAST(ROUND(s.open_price, 4) AS DECIMAL(18, 4)) AS VARCHAR) END,
        CASE WHEN s.high_price IS DISTINCT FROM p.high_price THEN
            'high ' || CAST(CAST(ROUND(p.high_price, 4) AS DECIMAL(18, 4)) AS VARCHAR)
                || ' -> ' || CAST(CAST(ROUND(s.high_price, 4) AS DECIMAL(18, 4)) AS VARCHAR) END,
        CASE WHEN s.low_price IS DISTINCT FROM p.low_price THEN
            'low ' || CAST(CAST(ROUND(p.low_price, 4) AS DECIMAL(18, 4)) AS VARCHAR)
                || ' -> ' || CAST(CAST(ROUND(s.low_price, 4) AS DECIMAL(18, 4)) AS VARCHAR) END,
        CASE WHEN s.close_price IS DISTINCT FROM p.close_price THEN
            'close ' || CAST(CAST(ROUND(p.close_price, 4) AS DECIMAL(18, 4)) AS VARCHAR)
                || ' -> ' || CAST(CAST(ROUND(s.close_price, 4) AS DECIMAL(18, 4)) AS VARCHAR) END,
        CASE WHEN s.volume IS DISTINCT FROM p.volume THEN
            'volume ' || CAST(p.volume AS VARCHAR) || ' -> ' || CAST(s.volume AS VARCHAR) END
    ) AS detail
FROM ${staged_prices} AS s
JOIN ${published_prices} AS p ON p.symbol = s.symbol AND p.trade_date = s.trade_date
WHERE s.trade_date BETWEEN ${start_date} AND ${end_date}
  AND p.trade_date BETWEEN ${start_date} AND ${end_date}
  AND (
       s.open_price IS DISTINCT FROM p.open_price
    OR s.high_price IS DISTINCT FROM p.high_price
    OR s.low_price IS DISTINCT FROM p.low_price
    OR s.close_price IS DISTINCT FROM p.close_price
    OR s.volume IS DISTINCT FROM p.volume
  )
