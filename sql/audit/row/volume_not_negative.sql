-- The volume is zero or more shares.
-- remedy: look at the stored answer; ask the vendor again later by materializing the session once more.
SELECT symbol, trade_date, 'volume ' || CAST(volume AS VARCHAR) AS detail
FROM ${bars} AS b
WHERE volume < 0
