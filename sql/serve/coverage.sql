-- Expected symbols of each session: how many are published, quarantined or missing. Computed from the published tables
-- alone: a symbol is expected from its first bar until 30 days after its last bar, so that a symbol without further
-- bars is missing for a month and then counts as delisted. A session without any bar has no row; it shows in
-- days_since_previous, which is at most 4 around a weekend with a holiday.
WITH bars AS (
    SELECT symbol, trade_date, MAX(is_published) AS is_published
    FROM (
        SELECT symbol, trade_date, 1 AS is_published FROM ${published_prices}
        UNION ALL
        SELECT symbol, trade_date, 0 AS is_published FROM ${published_quarantine} WHERE audit <> 'symbol_well_formed'
    ) AS everything
    GROUP BY symbol, trade_date
),
spans AS (
    SELECT symbol, MIN(trade_date) AS first_session, MAX(trade_date) AS last_session
    FROM bars
    GROUP BY symbol
),
sessions AS (
    SELECT
        trade_date,
        COUNT(CASE WHEN is_published = 1 THEN symbol END) AS published_symbols,
        COUNT(CASE WHEN is_published = 0 THEN symbol END) AS quarantined_symbols
    FROM bars
    GROUP BY trade_date
),
counted AS (
    SELECT s.trade_date, s.published_symbols, s.quarantined_symbols, COUNT(e.symbol) AS expected_symbols
    FROM sessions AS s
    JOIN spans AS e
        ON  e.first_session <= s.trade_date
        AND DATE_DIFF('day', e.last_session, s.trade_date) <= 30
    GROUP BY s.trade_date, s.published_symbols, s.quarantined_symbols
)
SELECT
    trade_date,
    expected_symbols,
    published_symbols,
    quarantined_symbols,
    expected_symbols - published_symbols - quarantined_symbols                     AS missing_symbols,
    CAST(published_symbols AS DOUBLE) / CAST(expected_symbols AS DOUBLE) * 1E2     AS coverage_pct,
    DATE_DIFF('day', LAG(trade_date) OVER (ORDER BY trade_date), trade_date)       AS days_since_previous
FROM counted
