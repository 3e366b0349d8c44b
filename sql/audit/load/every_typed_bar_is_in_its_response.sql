-- Every typed bar has the values of a row of its raw response; a value that is no plain number is NULL.
-- remedy: load the sessions again; if the bar returns, fix sql/stage/typed_prices.sql.
SELECT t.symbol, t.trade_date, 'no row of its raw response has these values' AS detail
FROM ${typed_prices} AS t
LEFT JOIN (
    SELECT p.symbol, p.response_key, r.trade_date, r.open_price, r.high_price, r.low_price, r.close_price, r.volume
    FROM ${raw_prices} AS r
    JOIN ${responses} AS p ON p.path = r."$path"
) AS v
    ON  v.symbol = t.symbol
    AND v.response_key = t.payload
    AND v.trade_date = t.trade_date
    AND (t.open_price IS NULL OR v.open_price = t.open_price)
    AND (t.high_price IS NULL OR v.high_price = t.high_price)
    AND (t.low_price IS NULL OR v.low_price = t.low_price)
    AND (t.close_price IS NULL OR v.close_price = t.close_price)
    AND (t.volume IS NULL OR v.volume = t.volume)
WHERE v.symbol IS NULL
