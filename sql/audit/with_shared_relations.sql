-- The bad rows of audits that may read two shared relations. bars_to_commit is what the row audits read. recent_bars has
-- the rows of a load and the published rows of its look-back, each with the previous bar of the same listing, its close
-- split-adjusted to the row's date, and volumes divided by the split factor. A finding that a user has acknowledged is
-- named 'acknowledged <audit>'.
WITH bars_to_commit AS (
    ${bars_to_commit_select}
),
recent_bars AS (
    SELECT
        b.*,
        LAG(trade_date) OVER w                                                       AS previous_date,
        LAG(open_price) OVER w                                                       AS previous_open,
        LAG(high_price) OVER w                                                       AS previous_high,
        LAG(low_price) OVER w                                                        AS previous_low,
        LAG(close_price) OVER w                                                      AS previous_close,
        LAG(volume) OVER w                                                           AS previous_volume,
        LEAD(volume) OVER w                                                          AS next_volume,
        split_factor / LAG(split_factor) OVER w                                      AS split_ratio,
        LAG(close_price) OVER w * (LAG(split_factor) OVER w / split_factor)          AS adjusted_close,
        CAST(LAG(volume) OVER w AS DOUBLE) / LAG(split_factor) OVER w                AS shares_1,
        LAG(shares, 2) OVER w                                                        AS shares_2,
        LAG(shares, 3) OVER w                                                        AS shares_3,
        LAG(shares, 4) OVER w                                                        AS shares_4,
        LAG(shares, 5) OVER w                                                        AS shares_5,
        LAG(shares, 6) OVER w                                                        AS shares_6,
        LAG(shares, 7) OVER w                                                        AS shares_7
    FROM (
        SELECT r.*, r.traded / r.split_factor AS shares, l.first_session
        FROM (
            SELECT symbol, trade_date, open_price, high_price, low_price, close_price, volume, split_factor,
                CAST(volume AS DOUBLE) AS traded
            FROM ${staged_prices}
            UNION ALL
            SELECT symbol, trade_date, open_price, high_price, low_price, close_price, volume, split_factor,
                CAST(volume AS DOUBLE) AS traded
            FROM ${published_prices}
            WHERE trade_date >= ${lookback_date} AND trade_date < ${first_date}
        ) AS r
        LEFT JOIN ${listings} AS l
            ON  l.symbol = r.symbol
            AND l.first_session <= r.trade_date
            AND (l.last_session IS NULL OR r.trade_date <= l.last_session)
    ) AS b
    WINDOW w AS (PARTITION BY symbol, first_session ORDER BY trade_date)
)
SELECT
    CAST(CASE WHEN a.audit IS NULL THEN f.audit ELSE ${acknowledged} || f.audit END AS VARCHAR) AS audit,
    f.symbol,
    f.trade_date,
    f.detail
FROM (${findings}) AS f
LEFT JOIN ${acknowledgements} AS a
    ON  a.audit = f.audit
    AND a.symbol = COALESCE(f.symbol, '-')
    AND a.trade_date = f.trade_date
