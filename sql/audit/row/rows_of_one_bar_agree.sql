-- All rows that a response has for one bar have the same values. Repeated equal rows count once.
-- remedy: read the rows in the raw response and report them to the vendor; a newer response with one version of the bar
-- replaces them: stock-assets backfill SESSION SESSION --again --symbol SYMBOL.
SELECT symbol, trade_date, 'contradicting rows: ' || contradicting_rows AS detail
FROM ${bars} AS b
WHERE contradicting_rows IS NOT NULL
