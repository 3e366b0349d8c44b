-- Rows of a load that differ from the published rows in its range: new rows, and changed rows as they will be.
-- EXCEPT compares every column and treats NULLs as equal.
SELECT symbol, trade_date, CAST('' AS VARCHAR) AS detail
FROM (
    SELECT ${columns} FROM ${staged_rows} AS s
    EXCEPT
    SELECT ${columns} FROM ${published_rows} WHERE trade_date BETWEEN ${first_date} AND ${last_date}
) AS added
