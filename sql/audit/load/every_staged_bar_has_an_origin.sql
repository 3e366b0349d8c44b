-- Every staged row is a bar of a raw response that passed the row audits, or a bar that is published already, with the
-- same prices and volume.
-- remedy: load the sessions again; if the row returns, fix sql/stage/daily_prices.sql.
SELECT
    s.symbol,
    s.trade_date,
    CAST(CASE WHEN o.symbol IS NULL THEN 'neither in a raw response nor published'
              ELSE 'open, high, low, close or volume differs from the raw response or the published row'
         END AS VARCHAR) AS detail
FROM ${staged_prices} AS s
LEFT JOIN (
    SELECT symbol, trade_date, open_price, high_price, low_price, close_price, volume FROM ${typed_prices} AS b
    WHERE trade_date NOT IN (SELECT session FROM ${excluded_sessions} AS e)
    UNION ALL
    SELECT symbol, trade_date, open_price, high_price, low_price, close_price, volume FROM ${published_prices} AS p
    WHERE trade_date BETWEEN ${first_date} AND ${last_date}
      AND (NOT trade_date BETWEEN ${first_day} AND ${last_day}
           OR trade_date IN (SELECT session FROM ${excluded_sessions} AS e))
) AS o ON o.symbol = s.symbol AND o.trade_date = s.trade_date
WHERE o.symbol IS NULL
   OR o.open_price <> s.open_price
   OR o.high_price <> s.high_price
   OR o.low_price <> s.low_price
   OR o.close_price <> s.close_price
   OR o.volume <> s.volume
