-- The bars that a load quarantined in some sessions, with each audit that they failed.
SELECT symbol, trade_date, audit, detail
FROM ${quarantined_prices} AS q
WHERE trade_date BETWEEN ${first_date} AND ${last_date}
