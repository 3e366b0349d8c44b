-- Weekly values of price_trends, one row per symbol and week, for charts of many years. trade_date is the last session
-- of the week. A week has its first open, highest high, lowest low, last close, total volume and the last value of each
-- average. Its daily return is close - open of the week, its volatility the root mean square of its sessions, its
-- change the change from the last close of the previous week, its surge ratio the largest of its sessions. If another
-- company reuses the ticker, its first week is compared with the last week of the earlier company.
WITH weeks AS (
    SELECT
        symbol,
        MAX(trade_date)                                 AS trade_date,
        MIN_BY(open_price, trade_date)                  AS open_price,
        MAX(high_price)                                 AS high_price,
        MIN(low_price)                                  AS low_price,
        MAX_BY(close_price, trade_date)                 AS close_price,
        SUM(volume)                                     AS volume,
        AVG(avg_price)                                  AS avg_price,
        MAX_BY(avg_price_90d, trade_date)               AS avg_price_90d,
        MAX_BY(rolling_avg_5d, trade_date)              AS rolling_avg_5d,
        SQRT(AVG(volatility_pct * volatility_pct))      AS volatility_pct,
        MAX_BY(volatility_21d_pct, trade_date)          AS volatility_21d_pct,
        MAX(volume_surge_ratio)                         AS volume_surge_ratio,
        MAX_BY(close_as_traded, trade_date)             AS close_as_traded
    FROM ${price_trends} AS t
    GROUP BY symbol, DATE_TRUNC('week', trade_date)
)
SELECT
    symbol,
    trade_date,
    open_price,
    high_price,
    low_price,
    close_price,
    volume,
    close_price - open_price                            AS daily_return,
    avg_price,
    avg_price_90d,
    rolling_avg_5d,
    volatility_pct,
    volatility_21d_pct,
    (close_price - LAG(close_price) OVER w) / NULLIF(LAG(close_price) OVER w, 0E0) * 1E2 AS price_change_pct,
    volume_surge_ratio,
    close_price > open_price                            AS is_market_up,
    close_as_traded
FROM weeks
WINDOW w AS (PARTITION BY symbol ORDER BY trade_date)
