-- Every price is above zero.
-- remedy: look at the stored answer; the answers of the next sessions hold the bar again, so load this one after them.
SELECT
    symbol,
    trade_date,
    'lowest price '
        || CAST(CAST(ROUND(LEAST(open_price, high_price, low_price, close_price), 4) AS DECIMAL(18, 4)) AS VARCHAR)
        AS detail
FROM ${bars} AS b
WHERE LEAST(open_price, high_price, low_price, close_price) <= 0E0
