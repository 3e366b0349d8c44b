-- In every requested session, enough of the listed symbols have a bar. A session before the source's available history,
-- for which no symbol has a bar, does not block the others; the warning every_listed_symbol_present names it.
-- remedy: raw/daily_prices shows which symbols are missing and why; materialize the sessions again.
SELECT
    CAST(NULL AS VARCHAR) AS symbol,
    c.session AS trade_date,
    CAST(COUNT(t.symbol) AS VARCHAR) || ' of ' || CAST(COUNT(*) AS VARCHAR) || ' symbols' AS detail
FROM ${sessions} AS c
JOIN ${listings} AS l
    ON  l.first_session <= c.session
    AND (l.last_session IS NULL OR c.session <= l.last_session)
LEFT JOIN (SELECT DISTINCT symbol, trade_date FROM ${typed_prices}) AS t
    ON t.symbol = l.symbol AND t.trade_date = c.session
WHERE c.session BETWEEN ${start_date} AND ${end_date}
GROUP BY c.session
HAVING (c.session >= ${available_from} OR COUNT(t.symbol) > 0)
   AND CAST(COUNT(t.symbol) AS DOUBLE) / CAST(COUNT(*) AS DOUBLE) < ${min_coverage}
