-- A symbol that is listed on the last requested session was traded in one of the five sessions up to it. In an import,
-- only the imported symbols are expected.
-- False positives: 0 of 12,154 recorded bars.
-- scope: all symbols
-- remedy: if the symbol was delisted, set its last_session in the universe file; if it was renamed, add the new symbol.
WITH traded AS (
    SELECT symbol, trade_date
    FROM ${staged_prices} AS s
    WHERE volume > 0 AND trade_date <= ${end_date}
    UNION ALL
    SELECT symbol, trade_date
    FROM ${published_prices} AS p
    WHERE volume > 0 AND trade_date <= ${end_date}
      AND trade_date >= ${lookback_date} AND trade_date < ${first_date}
)
SELECT
    l.symbol,
    ${end_date} AS trade_date,
    COALESCE('last traded on ' || DATE_FORMAT(t.last_traded, '%Y-%m-%d'), 'not traded since '
        || DATE_FORMAT(${lookback_date}, '%Y-%m-%d')) || ', ' || CAST(COUNT(*) AS VARCHAR) || ' sessions before'
        AS detail
FROM ${expected_listings} AS l
LEFT JOIN (
    SELECT symbol, MAX(trade_date) AS last_traded
    FROM traded
    GROUP BY symbol
) AS t ON t.symbol = l.symbol
-- The sessions in which other symbols were traded.
JOIN (SELECT DISTINCT trade_date FROM traded) AS s ON s.trade_date > COALESCE(t.last_traded, l.first_session) AND s.trade_date >= l.first_session
WHERE l.first_session <= ${end_date}
  AND (l.last_session IS NULL OR l.last_session >= ${end_date})
GROUP BY l.symbol, t.last_traded
HAVING COUNT(*) >= 5
