-- Every staged row is a bar of a raw response that passed the row audits, or a bar that is published already, with the
-- same prices and volume.
-- remedy: load the sessions again; if the row returns, fix sql/stage/daily_prices.sql.
SELECT
    symbol,
    trade_date,
    CAST(CASE WHEN has_origin
              THEN 'open, high, low, close or volume differs from the raw response or the published row'
              ELSE 'neither in a raw response nor published'
         END AS VARCHAR) AS detail
FROM ${traced_bars} AS s
WHERE symbol IS NOT NULL
  AND (NOT has_origin OR differs_from_origin)
