-- The symbol was listed on the day of the bar, by the universe. A symbol without any listing has left the universe: its
-- history stays published.
-- remedy: correct first_session or last_session of the symbol in the universe file (STOCK_ASSETS_UNIVERSE), or add a
-- line for another listing period; then load the session again.
SELECT
    b.symbol,
    b.trade_date,
    'listed ' || ARRAY_JOIN(ARRAY_AGG(l.period ORDER BY l.first_session), ', ') AS detail
FROM ${bars} AS b
JOIN (
    SELECT
        symbol,
        first_session,
        last_session,
        CASE WHEN first_session > DATE '0001-01-01'
             THEN 'from ' || DATE_FORMAT(first_session, '%Y-%m-%d') || ' ' ELSE '' END
            || CASE WHEN last_session IS NULL THEN 'until today'
                    ELSE 'until ' || DATE_FORMAT(last_session, '%Y-%m-%d') END AS period
    FROM ${listings} AS p
) AS l ON l.symbol = b.symbol
-- A published bar of another session keeps its row until a load covers its session.
WHERE b.fetched_at IS NOT NULL
GROUP BY b.symbol, b.trade_date
HAVING COUNT(
    CASE WHEN l.first_session <= b.trade_date AND (l.last_session IS NULL OR b.trade_date <= l.last_session) THEN 1 END
) = 0
