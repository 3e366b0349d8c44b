-- Every row that this load publishes, with its metrics: the bars of the requested sessions that passed the row audits,
-- and the already published bars of excluded sessions and of the rest of [first_date, last_date], whose look-back reaches
-- into the range. A look-back never leaves a listing period of its symbol: a reused ticker is another company.
-- Windows are written with LAG, not as frames: the sums then add up in one fixed order on every engine, so that a row
-- is the same to the last bit whatever the sessions of the load. A look-back of more than lookback_days calendar days
-- (a trading halt) gives NULL, and so does a look-back with too few sessions.
WITH excluded AS (
    SELECT session FROM ${excluded_sessions} AS e
),
bars AS (
    SELECT t.symbol, t.trade_date, t.open_price, t.high_price, t.low_price, t.close_price, t.volume
    FROM ${typed_prices} AS t
    LEFT JOIN ${quarantined_prices} AS q ON q.symbol = t.symbol AND q.trade_date = t.trade_date
    WHERE q.symbol IS NULL
      AND t.trade_date NOT IN (SELECT session FROM excluded)
    UNION ALL
    SELECT symbol, trade_date, open_price, high_price, low_price, close_price, volume
    FROM ${published_prices}
    WHERE trade_date BETWEEN ${lookback_date} AND ${last_date}
      AND (NOT trade_date BETWEEN ${first_day} AND ${last_day}
           OR trade_date IN (SELECT session FROM excluded))
),
prices AS (
    SELECT
        b.*,
        -- NULL outside every listing: these rows look back only at each other.
        l.first_session                  AS listed_since,
        CAST(b.volume AS DOUBLE)         AS shares,
        COALESCE(f.split_factor, 1E0)    AS split_factor
    FROM bars AS b
    LEFT JOIN ${splits} AS f
        ON  f.symbol = b.symbol
        AND f.ex_date <= b.trade_date
        AND (f.next_ex_date IS NULL OR b.trade_date < f.next_ex_date)
    LEFT JOIN ${listings} AS l
        ON  l.symbol = b.symbol
        AND l.first_session <= b.trade_date
        AND (l.last_session IS NULL OR b.trade_date <= l.last_session)
),
-- Look-back values are split-adjusted as of the row's date (point in time): a price of an earlier day d, seen from the
-- row's day T, is p(d) * factor(d) / factor(T); a volume is v(d) * factor(T) / factor(d). The factors are divided first:
-- without a split between them the quotient is exactly 1, and the value is exactly the traded one.
looked_back AS (
    SELECT
        prices.*,
        LAG(trade_date, 1) OVER w AS session_1,
        LAG(trade_date, 4) OVER w AS session_4,
        LAG(trade_date, 7) OVER w AS session_7,
        LAG(close_price, 1) OVER w * (LAG(split_factor, 1) OVER w / split_factor) AS close_1,
        LAG(close_price, 2) OVER w * (LAG(split_factor, 2) OVER w / split_factor) AS close_2,
        LAG(close_price, 3) OVER w * (LAG(split_factor, 3) OVER w / split_factor) AS close_3,
        LAG(close_price, 4) OVER w * (LAG(split_factor, 4) OVER w / split_factor) AS close_4,
        LAG(shares, 1) OVER w * (split_factor / LAG(split_factor, 1) OVER w) AS shares_1,
        LAG(shares, 2) OVER w * (split_factor / LAG(split_factor, 2) OVER w) AS shares_2,
        LAG(shares, 3) OVER w * (split_factor / LAG(split_factor, 3) OVER w) AS shares_3,
        LAG(shares, 4) OVER w * (split_factor / LAG(split_factor, 4) OVER w) AS shares_4,
        LAG(shares, 5) OVER w * (split_factor / LAG(split_factor, 5) OVER w) AS shares_5,
        LAG(shares, 6) OVER w * (split_factor / LAG(split_factor, 6) OVER w) AS shares_6,
        LAG(shares, 7) OVER w * (split_factor / LAG(split_factor, 7) OVER w) AS shares_7
    FROM prices
    WINDOW w AS (PARTITION BY symbol, listed_since ORDER BY trade_date)
),
guarded AS (
    SELECT
        looked_back.*,
        CASE WHEN DATE_DIFF('day', session_1, trade_date) <= ${lookback_days} THEN close_1 END AS prev_close,
        CASE WHEN DATE_DIFF('day', session_4, trade_date) <= ${lookback_days}
             THEN (close_price + close_1 + close_2 + close_3 + close_4) / 5E0 END AS rolling_avg_5d,
        CASE WHEN DATE_DIFF('day', session_7, trade_date) <= ${lookback_days}
             THEN (shares_1 + shares_2 + shares_3 + shares_4 + shares_5 + shares_6 + shares_7) / 7E0 END
            AS mean_shares_7,
        -- Whole ten-thousandths: in doubles a body of exactly a tenth of the range could be on either side of the
        -- threshold, and decimals that engines convert from doubles differ in the last digit.
        CAST(ROUND(open_price * 1E4) AS BIGINT)        AS open_units,
        CAST(ROUND(high_price * 1E4) AS BIGINT)        AS high_units,
        CAST(ROUND(low_price * 1E4) AS BIGINT)         AS low_units,
        CAST(ROUND(close_price * 1E4) AS BIGINT)       AS close_units
    FROM looked_back
    WHERE trade_date BETWEEN ${first_date} AND ${last_date}
),
shaped AS (
    SELECT
        guarded.*,
        ABS(close_units - open_units)                  AS body,
        high_units - low_units                         AS bar_range,
        high_units - GREATEST(open_units, close_units) AS upper_wick,
        LEAST(open_units, close_units) - low_units     AS lower_wick,
        -- The last bits of a logarithm differ between engines; 13 decimals are the same on all engines.
        CASE WHEN open_price > 0E0 AND high_price > 0E0 AND low_price > 0E0 AND close_price > 0E0
             THEN ROUND(LN(high_price / low_price), 13) END AS log_range,
        CASE WHEN open_price > 0E0 AND high_price > 0E0 AND low_price > 0E0 AND close_price > 0E0
             THEN ROUND(LN(close_price / open_price), 13) END AS log_body
    FROM guarded
)
SELECT
    symbol,
    trade_date,
    open_price,
    high_price,
    low_price,
    close_price,
    volume,
    close_price - open_price                                       AS daily_return,
    (open_price + high_price + low_price + close_price) / 4E0      AS avg_price,
    -- The second factor is 2 ln 2 - 1.
    5E-1 * log_range * log_range - 3.8629436111989061E-1 * log_body * log_body AS volatility,
    prev_close,
    (close_price - prev_close) / NULLIF(prev_close, 0E0) * 1E2     AS price_change_pct,
    rolling_avg_5d,
    shares / NULLIF(mean_shares_7, 0E0)                            AS volume_surge_ratio,
    CAST(CASE
        WHEN bar_range <= 0                                         THEN 'flat'
        WHEN 10 * body <= bar_range                                 THEN 'doji'
        WHEN lower_wick >= 2 * body AND 2 * upper_wick <= body      THEN 'hammer'
        WHEN upper_wick >= 2 * body AND 2 * lower_wick <= body      THEN 'shooting_star'
        WHEN 10 * body >= 9 * bar_range                             THEN 'marubozu'
        WHEN close_price > open_price                               THEN 'bullish'
        ELSE 'bearish'
    END AS VARCHAR)                                                AS candle_type,
    close_price > open_price                                       AS is_market_up,
    split_factor
FROM shaped
