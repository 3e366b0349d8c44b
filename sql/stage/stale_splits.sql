-- The sessions whose published split_factor no longer follows from the known splits, as one range. A split that becomes
-- known late changes the factor of every later row, so these rows are published again with the load. Only the
-- rows that rows_of_changed_splits.sql returns are compared, or all rows if the splits that they follow are not recorded.
SELECT MIN(p.trade_date) AS first_stale, MAX(p.trade_date) AS last_stale
FROM ${published_prices} AS p
LEFT JOIN ${splits} AS f
    ON  f.symbol = p.symbol
    AND f.ex_date <= p.trade_date
    AND (f.next_ex_date IS NULL OR p.trade_date < f.next_ex_date)
WHERE p.split_factor <> COALESCE(f.split_factor, 1E0)
