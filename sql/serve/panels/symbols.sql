-- Symbols that can be selected.
SELECT symbol
FROM ${latest_board} AS b
ORDER BY symbol
