-- Every price and volume the vendor wrote is a plain number.
-- remedy: look at the text in the stored answer; if the vendor changed its format, mend sql/stage/typed_prices.sql.
SELECT symbol, trade_date, unparsed_text AS detail
FROM ${bars} AS b
WHERE unparsed_text IS NOT NULL
