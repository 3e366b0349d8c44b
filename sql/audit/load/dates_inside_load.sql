-- Every row lies inside the range that the load replaces.
-- remedy: stage the sessions again; a row outside the range would be added beside the published one.
SELECT symbol, trade_date, 'outside the load' AS detail
FROM ${staged_prices} AS s
WHERE NOT trade_date BETWEEN ${first_date} AND ${last_date}
