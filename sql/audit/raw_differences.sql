-- The raw rows without a typed bar of their response and day, and the typed bars without a raw row of their response and
-- day, or with another value than such a row; a value that is no plain number is NULL in a typed bar.
-- One join for two audits. It compares the numbers of responses, which is faster than comparing their names.
SELECT
    COALESCE(t.symbol, r.symbol)         AS symbol,
    COALESCE(t.trade_date, r.trade_date) AS trade_date,
    t.symbol IS NOT NULL                 AS is_typed,
    r.requested_on
FROM (
    SELECT
        p.symbol, p.number, p.requested_on,
        a.trade_date, a.open_price, a.high_price, a.low_price, a.close_price, a.volume
    FROM ${raw_prices} AS a
    JOIN ${responses} AS p ON p.path = a."$path"
) AS r
FULL JOIN (
    SELECT b.symbol, b.trade_date, b.open_price, b.high_price, b.low_price, b.close_price, b.volume, p.number
    FROM ${typed_prices} AS b
    LEFT JOIN ${responses} AS p ON p.response_key = b.payload
) AS t ON t.number = r.number AND t.trade_date = r.trade_date
WHERE NOT COALESCE(
    r.symbol = t.symbol
    AND (t.open_price IS NULL OR r.open_price = t.open_price)
    AND (t.high_price IS NULL OR r.high_price = t.high_price)
    AND (t.low_price IS NULL OR r.low_price = t.low_price)
    AND (t.close_price IS NULL OR r.close_price = t.close_price)
    AND (t.volume IS NULL OR r.volume = t.volume),
    FALSE
)
