-- Rows in the range of a published table that a load does not have like this: those that go, and changed ones as they
-- were. EXCEPT compares every column and treats NULLs as equal.
SELECT symbol, trade_date, CAST('' AS VARCHAR) AS detail
FROM (
    SELECT ${columns} FROM ${published_rows} WHERE trade_date BETWEEN ${first_date} AND ${last_date}
    EXCEPT
    SELECT ${columns} FROM ${staged_rows}
) AS removed
