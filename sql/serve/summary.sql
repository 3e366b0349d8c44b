-- One row per symbol of the published tables. avg_price_90d is the value of the view price_trends in the symbol's latest
-- session: the split-adjusted mean of avg_price over its last 90 calendar days, NULL until it has 90 days of history.
-- It is computed here because on Athena every view costs a statement. A reused ticker is one symbol: its row counts
-- the bars of both companies.
WITH latest AS (
    SELECT
        symbol,
        COUNT(*)                          AS row_count,
        MIN(trade_date)                   AS first_session,
        MAX(trade_date)                   AS last_session,
        MAX_BY(close_price, trade_date)   AS last_close,
        MAX_BY(volume, trade_date)        AS last_volume,
        MAX_BY(split_factor, trade_date)  AS latest_factor
    FROM ${published_prices}
    GROUP BY symbol
),
averages AS (
    SELECT
        p.symbol,
        CASE WHEN DATE_DIFF('day', MIN(l.first_session), MIN(l.last_session)) >= 89
             THEN AVG(p.avg_price * (p.split_factor / l.latest_factor)) END AS avg_price_90d
    FROM ${published_prices} AS p
    JOIN latest AS l ON l.symbol = p.symbol
    WHERE DATE_DIFF('day', p.trade_date, l.last_session) < 90
    GROUP BY p.symbol
),
quarantine AS (
    SELECT symbol, COUNT(DISTINCT trade_date) AS quarantined
    FROM ${published_quarantine}
    GROUP BY symbol
)
SELECT
    COALESCE(l.symbol, q.symbol)   AS symbol,
    COALESCE(l.row_count, 0)       AS row_count,
    l.first_session,
    l.last_session,
    COALESCE(q.quarantined, 0)     AS quarantined,
    l.last_close,
    a.avg_price_90d,
    l.last_volume
FROM latest AS l
LEFT JOIN averages AS a ON a.symbol = l.symbol
FULL OUTER JOIN quarantine AS q ON q.symbol = l.symbol
ORDER BY symbol
