-- The volume is zero or more shares.
-- remedy: read the raw response; the responses of the next sessions contain the bar again, so load this session after
-- them.
SELECT symbol, trade_date, 'volume ' || CAST(volume AS VARCHAR) AS detail
FROM ${bars} AS b
WHERE volume < 0
