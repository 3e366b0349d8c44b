-- The published rows of the symbols and days whose split factor was another one when the published snapshot was staged.
-- The dates of the WHERE clause contain those of all symbols: engines compare them with the bounds of partitions.
SELECT p.symbol, p.trade_date, p.split_factor
FROM ${published_prices} AS p
JOIN ${changed_splits} AS c
    ON  c.symbol = p.symbol
    AND p.trade_date BETWEEN c.first_day AND c.last_day
WHERE p.trade_date BETWEEN ${first_day} AND ${last_day}
