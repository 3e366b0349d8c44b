-- Every price is above zero.
-- remedy: read the raw response; the responses of the next sessions contain the bar again, so load this session after
-- them.
SELECT
    symbol,
    trade_date,
    'lowest price '
        || CAST(CAST(ROUND(LEAST(open_price, high_price, low_price, close_price), 4) AS DECIMAL(18, 4)) AS VARCHAR)
        AS detail
FROM ${bars} AS b
WHERE LEAST(open_price, high_price, low_price, close_price) <= 0E0
