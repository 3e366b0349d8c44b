-- All rows that a response has for one bar have the same values. Repeated equal rows count once.
-- remedy: compare the raw response with another source. Request the bar again: stock-assets backfill SESSION SESSION
-- --again --symbol SYMBOL. If the vendor does not correct it, or the plan no longer returns the session, add the bar as
-- a landing file.
SELECT symbol, trade_date, 'contradicting rows: ' || contradicting_rows AS detail
FROM ${bars} AS b
WHERE contradicting_rows IS NOT NULL
