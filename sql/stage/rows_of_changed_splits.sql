-- The published rows of symbols and days that can have another split factor than when the published snapshot was staged.
-- Symbols are literals, not a relation: engines compare them with the statistics of the files before they read rows.
SELECT p.symbol, p.trade_date, p.split_factor
FROM ${published_prices} AS p
WHERE p.trade_date BETWEEN ${first_day} AND ${last_day}
  AND ${of_changed_symbols}
