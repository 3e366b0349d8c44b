-- The latest session of each symbol, since a day, whose close differs from the previous one by more than the share
-- max_jump without a known split: the rule of the audit no_unexplained_jump, applied to published rows.
SELECT symbol, MAX(trade_date) AS trade_date
FROM ${published_prices} AS p
WHERE ABS(price_change_pct) > ${max_jump} * 1E2
  AND trade_date >= ${since}
GROUP BY symbol
