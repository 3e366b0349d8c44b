-- The report of a load: one row per requested session, the findings that exclude sessions, and previews of published and
-- quarantined bars.
WITH findings AS (
    ${session_failures}
),
excluded AS (
    SELECT DISTINCT trade_date AS session FROM findings
)
SELECT
    'session'              AS part,
    s.trade_date,
    s.symbols,
    s.published_rows,
    s.quarantined,
    COALESCE(d.digest, 0)  AS digest,
    CAST(NULL AS VARCHAR)  AS symbol,
    CAST(NULL AS DOUBLE)   AS close_price,
    CAST(NULL AS DOUBLE)   AS prev_close,
    CAST(NULL AS DOUBLE)   AS price_change_pct,
    CAST(NULL AS DOUBLE)   AS rolling_avg_5d,
    CAST(NULL AS DOUBLE)   AS volume_surge_ratio,
    CAST(NULL AS VARCHAR)  AS candle_type,
    CAST(NULL AS VARCHAR)  AS audit,
    CAST(NULL AS VARCHAR)  AS detail,
    CAST(NULL AS VARCHAR)  AS payload
FROM (${sessions}) AS s
LEFT JOIN (${digests}) AS d ON d.trade_date = s.trade_date
UNION ALL
SELECT
    'price' AS part, trade_date, NULL, rows_of_session, NULL, NULL,
    symbol, close_price, prev_close, price_change_pct, rolling_avg_5d, volume_surge_ratio, candle_type,
    NULL, NULL, NULL
FROM (${prices}) AS p
UNION ALL
SELECT
    'quarantine' AS part, trade_date, NULL, NULL, NULL, NULL,
    symbol, NULL, NULL, NULL, NULL, NULL, NULL,
    audit, detail, payload
FROM (${quarantine}) AS q
UNION ALL
SELECT
    'excluded' AS part, trade_date, NULL, NULL, NULL, NULL,
    symbol, NULL, NULL, NULL, NULL, NULL, NULL,
    audit, detail, NULL
FROM findings
ORDER BY part, trade_date, symbol, audit
