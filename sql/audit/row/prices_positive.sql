-- Every price is above zero.
-- remedy: look at the stored answer; ask the vendor again later by materializing the session once more.
SELECT
    symbol,
    trade_date,
    'lowest price ' || CAST(CAST(LEAST(open_price, high_price, low_price, close_price) AS DECIMAL(18, 4)) AS VARCHAR)
        AS detail
FROM ${bars} AS b
WHERE LEAST(open_price, high_price, low_price, close_price) <= 0E0
