-- The latest row of each symbol. is_latest is false for a symbol without a bar in the latest session of the table.
WITH ranked AS (
    SELECT t.*, ROW_NUMBER() OVER (PARTITION BY symbol ORDER BY trade_date DESC) AS age
    FROM ${price_trends} AS t
),
latest AS (
    -- Not a window over all rows: a condition on symbols could not pass it.
    SELECT MAX(trade_date) AS latest_session
    FROM ${price_trends} AS t
)
SELECT
    symbol,
    trade_date,
    trade_date = latest_session AS is_latest,
    close_price,
    price_change_pct,
    daily_return,
    avg_price_90d,
    volatility_pct,
    volume,
    volume_surge_ratio,
    candle_type,
    is_market_up
FROM ranked
CROSS JOIN latest
WHERE age = 1
