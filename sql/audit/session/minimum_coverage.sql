-- In every requested session, enough of the listed symbols have a bar; symbols outside the universe do not count. A
-- session before the source's available history, for which no symbol has a bar, is not excluded; the warning
-- every_listed_symbol_present names it.
-- remedy: raw/daily_prices shows why each symbol is missing. Load the session again when the vendor has the bars; if a
-- symbol was not listed then, set its first_session or last_session in the universe file (STOCK_ASSETS_UNIVERSE); to
-- publish the session as it is, lower STOCK_ASSETS_MIN_COVERAGE.
SELECT
    CAST(NULL AS VARCHAR) AS symbol,
    trade_date,
    CAST(COUNT(present) AS VARCHAR) || ' of ' || CAST(COUNT(*) AS VARCHAR) || ' symbols, fewer than '
        || CAST(CAST(ROUND(${min_coverage} * 1E2) AS DECIMAL(18, 0)) AS VARCHAR) || '%; missing: '
        || ARRAY_JOIN(ARRAY_AGG(symbol ORDER BY symbol) FILTER (WHERE present IS NULL AND number <= 20), ', ')
        || CASE WHEN COUNT(*) - COUNT(present) > 20
                THEN ' and ' || CAST(CAST(COUNT(*) - COUNT(present) - 20 AS DECIMAL(18, 0)) AS VARCHAR) || ' more'
                ELSE '' END AS detail
FROM (
    SELECT
        c.session AS trade_date,
        l.symbol,
        t.symbol AS present,
        ROW_NUMBER() OVER (
            PARTITION BY c.session, CASE WHEN t.symbol IS NULL THEN 0 ELSE 1 END ORDER BY l.symbol
        ) AS number
    FROM ${sessions} AS c
    JOIN ${expected_listings} AS l
        ON  l.first_session <= c.session
        AND (l.last_session IS NULL OR c.session <= l.last_session)
    LEFT JOIN (SELECT DISTINCT symbol, trade_date FROM ${typed_prices}) AS t
        ON t.symbol = l.symbol AND t.trade_date = c.session
    WHERE c.session BETWEEN ${start_date} AND ${end_date}
) AS expected
GROUP BY trade_date
HAVING (trade_date >= ${available_from} OR COUNT(present) > 0)
   AND CAST(COUNT(present) AS DOUBLE) / CAST(COUNT(*) AS DOUBLE) < ${min_coverage}
