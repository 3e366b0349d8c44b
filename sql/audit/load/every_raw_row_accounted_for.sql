-- Every raw row of the requested sessions is staged, quarantined, or in an excluded session, and so is every typed row.
-- The warning every_raw_row_has_a_day reports the raw rows that belong to no session.
-- remedy: read the line in the raw response; if sql/stage/typed_prices.sql lost the row, fix that statement.
WITH raw_rows AS (
    SELECT
        p.symbol,
        p.requested_on,
        CASE WHEN REGEXP_LIKE(TRIM(BOTH ' ' FROM r."timestamp"), '^[0-9]{4}-[0-9]{2}-[0-9]{2}$')
             THEN TRY_CAST(TRIM(BOTH ' ' FROM r."timestamp") AS DATE) END AS trade_date
    FROM ${raw_prices} AS r
    JOIN ${responses} AS p ON p.path = r."$path"
),
expected AS (
    SELECT symbol, trade_date, 'raw' AS kind
    FROM raw_rows
    JOIN ${sessions} AS c ON c.session = raw_rows.trade_date
    WHERE trade_date BETWEEN ${start_date} AND ${end_date}
      AND trade_date <= requested_on
    UNION ALL
    SELECT symbol, trade_date, 'typed' AS kind
    FROM ${typed_prices} AS t
    WHERE trade_date NOT IN (SELECT session FROM ${sessions} AS c)
)
SELECT r.symbol, r.trade_date, r.kind || ' row of ' || DATE_FORMAT(r.trade_date, '%Y-%m-%d') AS detail
FROM expected AS r
LEFT JOIN (
    SELECT symbol, trade_date FROM ${staged_prices} AS s
    UNION ALL
    SELECT symbol, trade_date FROM ${quarantined_prices} AS q
    UNION ALL
    SELECT symbol, trade_date FROM ${typed_prices} AS t
    WHERE trade_date IN (SELECT session FROM ${excluded_sessions} AS e)
) AS a ON a.symbol = r.symbol AND a.trade_date = r.trade_date
WHERE a.symbol IS NULL
