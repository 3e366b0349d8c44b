-- The published rows of symbols and days that can have another split factor than when the published snapshot was staged.
SELECT p.symbol, p.trade_date, p.split_factor
FROM ${published_prices} AS p
JOIN ${changed_symbols} AS c ON c.symbol = p.symbol
WHERE p.trade_date BETWEEN ${first_day} AND ${last_day}
