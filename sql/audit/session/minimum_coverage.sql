-- In every requested session, enough of the listed symbols have a bar; symbols outside the universe do not count. A
-- session before the source's available history, for which no symbol has a bar, is not excluded; the warning
-- every_listed_symbol_present names it.
-- remedy: raw/daily_prices shows why each symbol is missing. Load the session again when the vendor has the bars; if a
-- symbol was not listed then, set its first_session or last_session in the universe file (STOCK_ASSETS_UNIVERSE); to
-- publish the session as it is, lower STOCK_ASSETS_MIN_COVERAGE.
WITH listed AS (
    -- Symbols and sessions are counted before they are combined: most sessions are complete.
    SELECT c.session, CAST(SUM(p.symbols) AS BIGINT) AS listed
    FROM ${sessions} AS c
    JOIN (
        SELECT first_session, last_session, COUNT(*) AS symbols
        FROM ${expected_listings} AS l
        GROUP BY first_session, last_session
    ) AS p
        ON  p.first_session <= c.session
        AND (p.last_session IS NULL OR c.session <= p.last_session)
    WHERE c.session BETWEEN ${start_date} AND ${end_date}
    GROUP BY c.session
),
present AS (
    SELECT t.trade_date AS session, COUNT(*) AS present
    FROM ${typed_prices} AS t
    JOIN ${expected_listings} AS l
        ON  l.symbol = t.symbol
        AND l.first_session <= t.trade_date
        AND (l.last_session IS NULL OR t.trade_date <= l.last_session)
    GROUP BY t.trade_date
),
thin AS (
    SELECT n.session, n.listed, COALESCE(p.present, 0) AS present
    FROM listed AS n
    LEFT JOIN present AS p ON p.session = n.session
    WHERE (n.session >= ${available_from} OR p.present IS NOT NULL)
      AND CAST(COALESCE(p.present, 0) AS DOUBLE) / CAST(n.listed AS DOUBLE) < ${min_coverage}
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
        n.session,
        l.symbol,
        n.listed,
        n.present,
        ROW_NUMBER() OVER (PARTITION BY n.session ORDER BY l.symbol) AS number
    FROM thin AS n
    JOIN ${expected_listings} AS l
        ON  l.first_session <= n.session
        AND (l.last_session IS NULL OR n.session <= l.last_session)
    LEFT JOIN (
        SELECT symbol, trade_date FROM ${typed_prices} AS b WHERE trade_date IN (SELECT session FROM thin)
    ) AS t ON t.symbol = l.symbol AND t.trade_date = n.session
    WHERE t.symbol IS NULL
) AS missing
GROUP BY session, listed, present
