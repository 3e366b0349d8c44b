-- The latest session of each symbol, since a given day, whose close moved by more than 40% against the previous close
-- without a known split: the rule of the audit no_unexplained_jump, applied to the published rows.
SELECT symbol, MAX(trade_date) AS trade_date
FROM ${published_prices} AS p
WHERE ABS(price_change_pct) > ${max_jump} * 1E2
  AND trade_date >= ${since}
GROUP BY symbol
