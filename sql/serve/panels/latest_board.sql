-- The latest row of each symbol.
SELECT
    symbol,
    trade_date,
    close_price,
    price_change_pct,
    daily_return,
    avg_price_90d,
    volatility_pct,
    volume,
    volume_surge_ratio,
    candle_type,
    is_latest
FROM ${latest_board} AS b
WHERE ${symbols}
ORDER BY symbol
