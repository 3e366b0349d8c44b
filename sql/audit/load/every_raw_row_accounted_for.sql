-- Every raw row of the requested sessions is staged or quarantined, and every raw row has a readable date.
-- remedy: read the line in the raw response; if sql/stage/typed_prices.sql lost the row, fix that statement.
WITH raw_rows AS (
    SELECT
        p.symbol,
        COALESCE(TRIM(BOTH ' ' FROM r."timestamp"), '') AS date_text,
        CASE WHEN REGEXP_LIKE(TRIM(BOTH ' ' FROM r."timestamp"), '^[0-9]{4}-[0-9]{2}-[0-9]{2}$')
             THEN TRY_CAST(TRIM(BOTH ' ' FROM r."timestamp") AS DATE) END AS trade_date
    FROM ${raw_prices} AS r
    JOIN ${responses} AS p ON p.path = r."$path"
)
SELECT r.symbol, r.trade_date, 'raw row of ' || r.date_text AS detail
FROM raw_rows AS r
LEFT JOIN (SELECT DISTINCT symbol, trade_date FROM ${staged_prices}) AS s
    ON s.symbol = r.symbol AND s.trade_date = r.trade_date
LEFT JOIN (SELECT DISTINCT symbol, trade_date FROM ${quarantined_prices}) AS q
    ON q.symbol = r.symbol AND q.trade_date = r.trade_date
WHERE r.trade_date IS NULL
   OR (r.trade_date BETWEEN ${start_date} AND ${end_date} AND s.symbol IS NULL AND q.symbol IS NULL)
