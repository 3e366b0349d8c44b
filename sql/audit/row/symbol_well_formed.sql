-- The symbol is a ticker: a capital letter, then at most nine capitals, digits, dots or hyphens.
-- remedy: correct the symbol in the universe file (STOCK_ASSETS_UNIVERSE), or copy the landing file again with the right
-- symbol; then load the session again.
SELECT symbol, trade_date, 'symbol ' || symbol AS detail
FROM ${bars} AS b
WHERE NOT REGEXP_LIKE(symbol, '^[A-Z][A-Z0-9.-]{0,9}$')
