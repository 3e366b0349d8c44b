-- The latest row of each symbol with its split-adjusted returns. A return compares the latest close with the last close
-- on or before the day one week, month or year before the symbol's latest session, or before its year; NULL if the
-- history is shorter. The 52-week range has the highest high and lowest low of the 364 days up to the latest session.
WITH latest AS (
    SELECT symbol, MAX(trade_date) AS latest_session
    FROM ${price_trends} AS t
    WHERE ${symbols}
    GROUP BY symbol
),
reference AS (
    SELECT
        symbol,
        latest_session,
        DATE_ADD('day', -7, latest_session)                     AS week_before,
        DATE_ADD('month', -1, latest_session)                   AS month_before,
        DATE_ADD('month', -12, latest_session)                  AS year_before,
        DATE_ADD('day', -1, DATE_TRUNC('year', latest_session)) AS end_of_last_year,
        DATE_ADD('day', -364, latest_session)                   AS before_52_weeks
    FROM latest
),
closes AS (
    SELECT
        t.symbol,
        COUNT(*)                                                                                AS sessions,
        MAX_BY(t.close_price, t.trade_date)                                                     AS last_close,
        MAX_BY(t.close_price, t.trade_date) FILTER (WHERE t.trade_date <= r.week_before)        AS close_1w,
        MAX_BY(t.close_price, t.trade_date) FILTER (WHERE t.trade_date <= r.month_before)       AS close_1m,
        MAX_BY(t.close_price, t.trade_date) FILTER (WHERE t.trade_date <= r.end_of_last_year)   AS close_ytd,
        MAX_BY(t.close_price, t.trade_date) FILTER (WHERE t.trade_date <= r.year_before)        AS close_1y,
        MIN(t.low_price) FILTER (WHERE t.trade_date > r.before_52_weeks)                        AS low_52w,
        MAX(t.high_price) FILTER (WHERE t.trade_date > r.before_52_weeks)                       AS high_52w
    FROM (SELECT * FROM ${price_trends} AS every WHERE ${symbols}) AS t
    JOIN reference AS r ON r.symbol = t.symbol
    GROUP BY t.symbol
)
SELECT
    b.symbol,
    b.trade_date,
    b.is_latest,
    b.close_price,
    b.price_change_pct,
    (c.last_close / c.close_1w - 1E0) * 1E2     AS return_1w_pct,
    (c.last_close / c.close_1m - 1E0) * 1E2     AS return_1m_pct,
    (c.last_close / c.close_ytd - 1E0) * 1E2    AS return_ytd_pct,
    (c.last_close / c.close_1y - 1E0) * 1E2     AS return_1y_pct,
    c.low_52w,
    c.high_52w,
    b.avg_price_90d,
    b.volatility_pct,
    b.volume,
    b.volume_surge_ratio,
    c.sessions
FROM (SELECT * FROM ${latest_board} AS every WHERE ${symbols}) AS b
JOIN closes AS c ON c.symbol = b.symbol
ORDER BY b.symbol
