-- In every requested session, enough of the listed symbols have a bar; symbols outside the universe do not count. A
-- session before the source's available history, for which no symbol has a bar, is not excluded; the warning
-- every_listed_symbol_present names it.
-- remedy: raw/daily_prices shows why each symbol is missing. Load the session again when the vendor has the bars; if a
-- symbol was not listed then, set its first_session or last_session in the universe file (STOCK_ASSETS_UNIVERSE); to
-- publish the session as it is, lower STOCK_ASSETS_MIN_COVERAGE.
WITH expected AS (
    SELECT c.session, l.symbol, t.symbol AS present
    FROM ${sessions} AS c
    JOIN ${expected_listings} AS l
        ON  l.first_session <= c.session
        AND (l.last_session IS NULL OR c.session <= l.last_session)
    LEFT JOIN ${typed_prices} AS t ON t.symbol = l.symbol AND t.trade_date = c.session
    WHERE c.session BETWEEN ${start_date} AND ${end_date}
),
thin AS (
    SELECT session, COUNT(*) AS listed, COUNT(present) AS present
    FROM expected
    GROUP BY session
    HAVING (session >= ${available_from} OR COUNT(present) > 0)
       AND CAST(COUNT(present) AS DOUBLE) / CAST(COUNT(*) AS DOUBLE) < ${min_coverage}
)
SELECT
    CAST(NULL AS VARCHAR) AS symbol,
    session AS trade_date,
    CAST(CAST(present AS DECIMAL(18, 0)) AS VARCHAR) || ' of '
        || CAST(CAST(listed AS DECIMAL(18, 0)) AS VARCHAR) || ' symbols, fewer than '
        || CAST(CAST(ROUND(${min_coverage} * 1E2) AS DECIMAL(18, 0)) AS VARCHAR) || '%; missing: '
        || ARRAY_JOIN(ARRAY_AGG(symbol ORDER BY symbol) FILTER (WHERE number <= 20), ', ')
        || CASE WHEN listed - present > 20
                THEN ' and ' || CAST(CAST(listed - present - 20 AS DECIMAL(18, 0)) AS VARCHAR) || ' more'
                ELSE '' END AS detail
FROM (
    SELECT
        e.session,
        e.symbol,
        n.listed,
        n.present,
        ROW_NUMBER() OVER (PARTITION BY e.session ORDER BY e.symbol) AS number
    FROM expected AS e
    JOIN thin AS n ON n.session = e.session
    WHERE e.present IS NULL
) AS missing
GROUP BY session, listed, present
