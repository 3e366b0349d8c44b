-- The low is at most as high as the open and the close.
-- remedy: compare with another source; the responses of the next sessions contain the bar again, so load this session
-- after them.
SELECT
    symbol,
    trade_date,
    'low ' || CAST(CAST(ROUND(low_price, 4) AS DECIMAL(18, 4)) AS VARCHAR)
        || ' > open ' || CAST(CAST(ROUND(open_price, 4) AS DECIMAL(18, 4)) AS VARCHAR)
        || ' or close ' || CAST(CAST(ROUND(close_price, 4) AS DECIMAL(18, 4)) AS VARCHAR) AS detail
FROM ${bars} AS b
WHERE low_price > LEAST(open_price, close_price)
