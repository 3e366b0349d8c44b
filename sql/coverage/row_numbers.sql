-- A number for each row of a range, from all of its values. The sum of the numbers of a session is its digest: the same for
-- the same rows in any order and on every engine, and another one if a price differs in the sixth decimal. Each row has
-- two weighted sums: sums of doubles in one fixed order are equal on every engine. The rest are whole numbers modulo a
-- prime, so that no product overflows. The square makes the digest depend on which symbol has which values.
WITH weighted AS (
    SELECT
        p.symbol,
        p.trade_date,
        p.volume,
        p.candle_type,
        p.is_market_up,
        COALESCE(n.number, 1) AS symbol_number,
        p.open_price + 1.6180339E0 * p.high_price + 2.7182818E0 * p.low_price + 3.1415926E0 * p.close_price
        + 4.6692016E0 * p.daily_return + 5.3983241E0 * p.avg_price + 6.2831853E0 * COALESCE(p.prev_close, -1.3E0)
        + 7.3890561E0 * COALESCE(p.rolling_avg_5d, -1.7E0) AS prices,
        1E4 * COALESCE(p.volatility, -1.1E0) + 1.6180339E0 * COALESCE(p.price_change_pct, -1.9E3)
        + 2.7182818E0 * COALESCE(p.volume_surge_ratio, -2.3E0) + 3.1415926E0 * COALESCE(p.split_factor, -2.9E0)
            AS metrics
    FROM ${prices} AS p
    LEFT JOIN ${symbol_numbers} AS n ON n.symbol = p.symbol
    WHERE p.trade_date BETWEEN ${start_date} AND ${end_date}
),
numbered AS (
    SELECT
        symbol,
        trade_date,
        MOD(
            symbol_number
            + 1000003 * MOD(CASE WHEN ABS(prices) < 1E12 THEN CAST(ROUND(prices * 1E6) AS BIGINT) ELSE 7 END, 2147483647)
            + 1000033 * MOD(CASE WHEN ABS(metrics) < 1E12 THEN CAST(ROUND(metrics * 1E6) AS BIGINT) ELSE 7 END, 2147483647)
            + 1000037 * MOD(volume, 2147483647)
            + 1000039 * COALESCE(STRPOS('flat,doji,hammer,shooting_star,marubozu,bullish,bearish', candle_type), 99)
            + 1000081 * CASE WHEN is_market_up THEN 1 WHEN NOT is_market_up THEN 2 ELSE 3 END,
            2147483647
        ) AS number
    FROM weighted
)
SELECT symbol, trade_date, MOD(number * number, 2147483647) AS number
FROM numbered
