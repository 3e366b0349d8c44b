-- In no session are more than one symbol, and more than the allowed share of the symbols, quarantined: one bad bar is
-- noise, also in a small universe; many are a bad feed.
-- Bars outside their symbol's listing do not count: the universe decides about them, not the feed.
-- remedy: compare the session with another source. If the bars are wrong, request them again after the vendor has
-- corrected them: stock-assets backfill SESSION SESSION --again. If the other bars should be published without them,
-- raise STOCK_ASSETS_MAX_QUARANTINED_SHARE.
SELECT
    CAST(NULL AS VARCHAR) AS symbol,
    t.trade_date,
    CAST(COUNT(q.symbol) AS VARCHAR) || ' of ' || CAST(COUNT(*) AS VARCHAR) || ' symbols quarantined, more than '
        || CAST(CAST(ROUND(${max_quarantined_share} * 1E2) AS DECIMAL(18, 0)) AS VARCHAR) || '%: '
        || ARRAY_JOIN(ARRAY_AGG(q.finding ORDER BY q.symbol) FILTER (WHERE q.number <= 10), '; ')
        || CASE WHEN COUNT(q.symbol) > 10
                THEN ' and ' || CAST(CAST(COUNT(q.symbol) - 10 AS DECIMAL(18, 0)) AS VARCHAR) || ' more'
                ELSE '' END AS detail
FROM ${typed_prices} AS t
JOIN ${sessions} AS c ON c.session = t.trade_date
LEFT JOIN (
    SELECT
        symbol,
        trade_date,
        MIN(symbol || ' ' || audit || ': ' || detail || ', response ' || payload)  AS finding,
        ROW_NUMBER() OVER (PARTITION BY trade_date ORDER BY symbol)                AS number,
        MAX(CASE WHEN audit = 'symbol_was_listed' THEN 1 ELSE 0 END)               AS unlisted
    FROM ${quarantined_prices} AS f
    GROUP BY symbol, trade_date
) AS q ON q.symbol = t.symbol AND q.trade_date = t.trade_date
WHERE t.trade_date BETWEEN ${start_date} AND ${end_date}
  -- Few sessions have two quarantined symbols; the rows of the others are not counted.
  AND t.trade_date IN (
      SELECT trade_date FROM ${quarantined_prices} AS c GROUP BY trade_date HAVING COUNT(DISTINCT symbol) > 1
  )
  AND COALESCE(q.unlisted, 0) = 0
GROUP BY t.trade_date
HAVING COUNT(q.symbol) > 1
   AND CAST(COUNT(q.symbol) AS DOUBLE) / CAST(COUNT(*) AS DOUBLE) > ${max_quarantined_share}
