-- Every price and volume in the raw response is a plain number; with too many fields, the volume is none.
-- remedy: read the text in the raw response; if the vendor changed its format, change sql/stage/typed_prices.sql.
-- Otherwise request the bar again: stock-assets backfill SESSION SESSION --again --symbol SYMBOL. If the vendor does not
-- correct it, or the plan no longer returns the session, add the bar as a landing file.
SELECT symbol, trade_date, unparsed_text AS detail
FROM ${bars} AS b
WHERE unparsed_text IS NOT NULL
