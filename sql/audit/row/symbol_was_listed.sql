-- The symbol was listed on the day of the bar, by the universe. A symbol without any listing has left the universe: its
-- history stays published.
-- remedy: correct first_session or last_session of the symbol in the universe file (STOCK_ASSETS_UNIVERSE), or add a
-- line for another listing period; then load the session again.
SELECT
    b.symbol,
    b.trade_date,
    'listed ' || ARRAY_JOIN(ARRAY_AGG(l.period ORDER BY l.first_session), ', ') AS detail
FROM (
    SELECT a.symbol, a.trade_date
    FROM ${bars} AS a
    LEFT JOIN ${listings} AS c
        ON  c.symbol = a.symbol
        AND c.first_session <= a.trade_date
        AND (c.last_session IS NULL OR a.trade_date <= c.last_session)
    -- A published bar of another session keeps its row until a load covers its session.
    WHERE a.fetched_at IS NOT NULL
      AND c.symbol IS NULL
) AS b
JOIN (
    SELECT
        symbol,
        first_session,
        CASE WHEN first_session > DATE '0001-01-01'
             THEN 'from ' || DATE_FORMAT(first_session, '%Y-%m-%d') || ' ' ELSE '' END
            || CASE WHEN last_session IS NULL THEN 'until today'
                    ELSE 'until ' || DATE_FORMAT(last_session, '%Y-%m-%d') END AS period
    FROM ${listings} AS p
) AS l ON l.symbol = b.symbol
GROUP BY b.symbol, b.trade_date
