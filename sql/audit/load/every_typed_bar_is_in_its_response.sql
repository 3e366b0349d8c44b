-- Every typed bar has the values of a row of its raw response; a value that is no plain number is NULL.
-- remedy: load the sessions again; if the bar returns, fix sql/stage/typed_prices.sql.
SELECT DISTINCT symbol, trade_date, 'no row of its raw response has these values' AS detail
FROM ${raw_differences} AS d
WHERE is_typed
