-- Bars as traded, with the factor that makes a price of each row split-adjusted (its volume is divided by the factor),
-- and the split-adjusted metrics of the session.
SELECT time, symbol, open, high, low, close, volume, adjustment, daily_return, avg_price_90d, rolling_avg_5d,
    volatility_pct, volatility_21d_pct, volume_surge_ratio
FROM (
    SELECT
        CAST(p.trade_date AS TIMESTAMP)     AS time,
        p.symbol,
        p.trade_date,
        p.open_price                        AS open,
        p.high_price                        AS high,
        p.low_price                         AS low,
        p.close_price                       AS close,
        p.volume,
        p.split_factor / l.latest_factor    AS adjustment,
        t.daily_return,
        t.avg_price_90d,
        t.rolling_avg_5d,
        t.volatility_pct,
        t.volatility_21d_pct,
        t.volume_surge_ratio
    FROM ${published_prices} AS p
    JOIN (SELECT * FROM ${price_trends} AS every WHERE ${symbols}) AS t
        ON  t.symbol = p.symbol
        AND t.trade_date = p.trade_date
    JOIN (
        SELECT symbol, MAX_BY(split_factor, trade_date) AS latest_factor
        FROM ${published_prices}
        GROUP BY symbol
    ) AS l ON l.symbol = p.symbol
) AS h
WHERE ${dates} AND ${symbols}
ORDER BY symbol, time
