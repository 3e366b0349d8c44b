-- The staging tables have exactly the declared columns and types.
-- remedy: make the statements under sql/stage agree with stock_assets/core/tables.py, then stage again.
SELECT
    CAST(NULL AS VARCHAR) AS symbol,
    CAST(NULL AS DATE) AS trade_date,
    COALESCE(d.table_name, a.table_name) || '.' || COALESCE(d.column_name, a.column_name)
        || ': declared ' || COALESCE(d.data_type, 'nothing')
        || ', found ' || COALESCE(LOWER(a.data_type), 'nothing') AS detail
FROM ${declared_columns} AS d
FULL OUTER JOIN ${actual_columns} AS a
    ON  a.table_name = d.table_name
    AND a.column_name = d.column_name
WHERE d.column_name IS NULL
   OR a.column_name IS NULL
   OR d.data_type <> LOWER(a.data_type)
