-- Every price is above zero.
-- remedy: compare the raw response with another source. Request the bar again: stock-assets backfill SESSION SESSION
-- --again --symbol SYMBOL. If the vendor does not correct it, or the plan no longer returns the session, add the bar as
-- a landing file.
SELECT
    symbol,
    trade_date,
    'lowest price '
        || CAST(CAST(ROUND(LEAST(open_price, high_price, low_price, close_price), 4) AS DECIMAL(18, 4)) AS VARCHAR)
        AS detail
FROM ${bars} AS b
WHERE LEAST(open_price, high_price, low_price, close_price) <= 0E0
