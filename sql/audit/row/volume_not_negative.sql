-- The volume is zero or more shares.
-- remedy: look at the stored answer; the answers of the next sessions hold the bar again, so load this one after them.
SELECT symbol, trade_date, 'volume ' || CAST(volume AS VARCHAR) AS detail
FROM ${bars} AS b
WHERE volume < 0
