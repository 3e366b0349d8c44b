-- The low is at most as high as the open and the close.
-- remedy: compare the raw response with another source. Request the bar again: stock-assets backfill SESSION SESSION
-- --again --symbol SYMBOL. If the vendor does not correct it, or the plan no longer returns the session, add the bar as
-- a landing file.
SELECT
    symbol,
    trade_date,
    'low ' || CAST(CAST(ROUND(low_price, 4) AS DECIMAL(18, 4)) AS VARCHAR)
        || ' > open ' || CAST(CAST(ROUND(open_price, 4) AS DECIMAL(18, 4)) AS VARCHAR)
        || ' or close ' || CAST(CAST(ROUND(close_price, 4) AS DECIMAL(18, 4)) AS VARCHAR) AS detail
FROM ${bars} AS b
WHERE low_price > LEAST(open_price, close_price)
