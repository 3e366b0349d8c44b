-- The reasons why rows are not imported: the number of rows, and the first row.
SELECT
    problem,
    CASE WHEN problem = 'symbol not in the universe' THEN symbol END AS symbol,
    COUNT(*)                      AS row_count,
    MIN(trade_date)               AS first_date,
    MAX(trade_date)               AS last_date,
    MIN_BY(name, name || ':' || LPAD(CAST(CAST(line AS DECIMAL(12, 0)) AS VARCHAR), 12, '0')) AS name,
    MIN_BY(line, name || ':' || LPAD(CAST(CAST(line AS DECIMAL(12, 0)) AS VARCHAR), 12, '0')) AS line,
    MIN_BY(CONCAT_WS(',', day_text, symbol, open_text, high_text, low_text, close_text, volume_text),
           name || ':' || LPAD(CAST(CAST(line AS DECIMAL(12, 0)) AS VARCHAR), 12, '0'))       AS content
FROM ${legacy_rows} AS r
WHERE problem IS NOT NULL
GROUP BY 1, 2
ORDER BY 1, 2
