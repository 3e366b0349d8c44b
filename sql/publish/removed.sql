-- Published rows in the range of a load that differ from its rows: removed rows, and changed rows as they were.
-- EXCEPT compares every column and treats NULLs as equal.
SELECT symbol, trade_date, CAST('' AS VARCHAR) AS detail
FROM (
    SELECT ${columns} FROM ${published_rows} WHERE trade_date BETWEEN ${first_date} AND ${last_date}
    EXCEPT
    SELECT ${columns} FROM ${staged_rows} AS s
) AS removed
