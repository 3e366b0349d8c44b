-- The symbols to choose from.
SELECT symbol
FROM ${latest_board} AS b
ORDER BY symbol
