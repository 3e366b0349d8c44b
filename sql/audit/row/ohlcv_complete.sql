-- Open, high, low, close and volume all have a value.
-- remedy: compare the raw response with another source. Request the bar again: stock-assets backfill SESSION SESSION
-- --again --symbol SYMBOL. If the vendor does not correct it, or the plan no longer returns the session, add the bar as
-- a landing file.
SELECT
    symbol,
    trade_date,
    CONCAT_WS(', ',
        CASE WHEN open_price IS NULL THEN 'open' END,
        CASE WHEN high_price IS NULL THEN 'high' END,
        CASE WHEN low_price IS NULL THEN 'low' END,
        CASE WHEN close_price IS NULL THEN 'close' END,
        CASE WHEN volume IS NULL THEN 'volume' END
    ) || ' missing' AS detail
FROM ${bars} AS b
WHERE unparsed_text IS NULL
  AND contradicting_rows IS NULL
  AND (open_price IS NULL OR high_price IS NULL OR low_price IS NULL OR close_price IS NULL OR volume IS NULL)
