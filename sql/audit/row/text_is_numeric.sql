-- Every price and volume in the raw response is a plain number; with too many fields, the volume is none. A volume such as
-- 6.16E+07 is none either: its digits do not determine the integer.
-- remedy: read the text in the raw response; if the vendor changed its format, change sql/stage/raw_rows.sql.
-- Otherwise request the bar again: stock-assets backfill SESSION SESSION --again --symbol SYMBOL. If the vendor does not
-- correct it, or the plan no longer returns the session, add the bar as a landing file with all digits.
SELECT
    symbol,
    trade_date,
    unparsed_text || CASE WHEN REGEXP_LIKE(unparsed_text, 'volume=-?[0-9]+([.][0-9]+)?[eE][+]?[0-9]+$')
                          THEN ' (the digits do not determine the integer)' ELSE '' END AS detail
FROM ${bars} AS b
WHERE unparsed_text IS NOT NULL
