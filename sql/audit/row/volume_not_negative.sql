-- The volume is zero or more shares.
-- remedy: compare the raw response with another source. Request the bar again: stock-assets backfill SESSION SESSION
-- --again --symbol SYMBOL. If the vendor does not correct it, or the plan no longer returns the session, add the bar as
-- a landing file.
SELECT symbol, trade_date, 'volume ' || CAST(volume AS VARCHAR) AS detail
FROM ${bars} AS b
WHERE volume < 0
