-- Price changes in the latest session, largest gain first.
SELECT symbol, price_change_pct, close_price, trade_date
FROM ${movers} AS m
WHERE trade_date = (SELECT MAX(trade_date) FROM ${movers} AS latest)
ORDER BY gain_rank, symbol
