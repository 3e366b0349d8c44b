-- The latest session of each symbol, since a day, whose close moved by more than 40% against the previous one without
-- a known split: the same rule as the audit no_unexplained_jump, over what is published.
SELECT symbol, MAX(trade_date) AS trade_date
FROM ${published_prices} AS p
WHERE ABS(price_change_pct) > 4E1
  AND trade_date >= ${since}
GROUP BY symbol
