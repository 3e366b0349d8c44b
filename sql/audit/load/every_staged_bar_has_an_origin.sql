-- Every staged row is a bar of a raw response that passed the row audits, or a bar that is published already, with the
-- same prices and volume.
-- remedy: load the sessions again; if the row returns, fix sql/stage/daily_prices.sql.
SELECT
    b.symbol,
    b.trade_date,
    CAST(CASE WHEN b.has_typed_bar OR o.symbol IS NOT NULL
              THEN 'open, high, low, close or volume differs from the raw response or the published row'
              ELSE 'neither in a raw response nor published'
         END AS VARCHAR) AS detail
FROM ${bars_to_commit} AS b
LEFT JOIN (
    SELECT symbol, trade_date, open_price, high_price, low_price, close_price, volume FROM ${published_prices} AS p
    WHERE trade_date BETWEEN ${first_date} AND ${last_date}
      AND (NOT trade_date BETWEEN ${first_day} AND ${last_day}
           OR trade_date IN (SELECT session FROM ${excluded_sessions} AS e))
) AS o ON o.symbol = b.symbol AND o.trade_date = b.trade_date
WHERE (NOT b.has_typed_bar AND o.symbol IS NULL)
   OR b.differs_from_typed_bar
   OR o.open_price <> b.open_price
   OR o.high_price <> b.high_price
   OR o.low_price <> b.low_price
   OR o.close_price <> b.close_price
   OR o.volume <> b.volume
