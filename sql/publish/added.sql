-- Rows of a load that the range of a published table does not have like this: new ones, and changed ones as they will be.
-- EXCEPT compares every column and treats NULLs as equal.
SELECT symbol, trade_date, CAST('' AS VARCHAR) AS detail
FROM (
    SELECT ${columns} FROM ${staged_rows}
    EXCEPT
    SELECT ${columns} FROM ${published_rows} WHERE trade_date BETWEEN ${first_date} AND ${last_date}
) AS added
