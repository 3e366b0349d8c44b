-- Time series for charts, one row per symbol and session, with split-adjusted prices and volumes. A window that begins
-- before the symbol's first session, or spans a trading halt, gives NULL. A condition on dates in a query never cuts a
-- window. If another company reuses the ticker, the windows of its first 90 days may contain bars of both companies,
-- and all prices of the symbol are adjusted to one factor; the metrics of published.daily_prices never mix companies.
WITH latest AS (
    SELECT symbol, MIN(trade_date) AS first_session, MAX_BY(split_factor, trade_date) AS latest_factor
    FROM ${published_prices}
    GROUP BY symbol
),
based AS (
    SELECT
        p.symbol,
        p.trade_date,
        p.open_price * (p.split_factor / l.latest_factor)              AS open_price,
        p.high_price * (p.split_factor / l.latest_factor)              AS high_price,
        p.low_price * (p.split_factor / l.latest_factor)               AS low_price,
        p.close_price * (p.split_factor / l.latest_factor)             AS close_price,
        CAST(p.volume AS DOUBLE) * (l.latest_factor / p.split_factor)  AS volume,
        p.daily_return * (p.split_factor / l.latest_factor)            AS daily_return,
        p.avg_price * (p.split_factor / l.latest_factor)               AS avg_price,
        p.rolling_avg_5d * (p.split_factor / l.latest_factor)          AS rolling_avg_5d,
        p.volatility,
        p.price_change_pct,
        p.volume_surge_ratio,
        p.candle_type,
        p.is_market_up,
        p.close_price                                                  AS close_as_traded,
        DATE_DIFF('day', l.first_session, p.trade_date)                AS days_listed
    FROM ${published_prices} AS p
    JOIN latest AS l ON l.symbol = p.symbol
)
SELECT
    symbol,
    trade_date,
    open_price,
    high_price,
    low_price,
    close_price,
    volume,
    daily_return,
    avg_price,
    CASE WHEN days_listed >= 89 THEN AVG(avg_price) OVER last_90_days END AS avg_price_90d,
    rolling_avg_5d,
    SQRT(volatility) * 1E2                                                AS volatility_pct,
    CASE WHEN COUNT(*) OVER last_21_sessions = 21 AND days_listed - MIN(days_listed) OVER last_21_sessions <= 42
         THEN SQRT(AVG(volatility) OVER last_21_sessions) * 1E2 END       AS volatility_21d_pct,
    price_change_pct,
    volume_surge_ratio,
    candle_type,
    is_market_up,
    close_as_traded
FROM based
WINDOW
    last_90_days AS (PARTITION BY symbol ORDER BY days_listed RANGE BETWEEN 89 PRECEDING AND CURRENT ROW),
    last_21_sessions AS (PARTITION BY symbol ORDER BY days_listed ROWS BETWEEN 20 PRECEDING AND CURRENT ROW)
