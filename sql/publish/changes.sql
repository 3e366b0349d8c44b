-- How the range of a published table would change: rows that appear, rows that go, per symbol and session.
-- A row that changes appears and goes. EXCEPT compares every column and treats NULLs as equal.
SELECT 'added' AS change, COUNT(*) AS change_rows
FROM (
    SELECT ${columns} FROM ${staged_rows}
    EXCEPT
    SELECT ${columns} FROM ${published_rows} WHERE trade_date BETWEEN ${first_date} AND ${last_date}
) AS added
UNION ALL
SELECT 'removed' AS change, COUNT(*) AS change_rows
FROM (
    SELECT ${columns} FROM ${published_rows} WHERE trade_date BETWEEN ${first_date} AND ${last_date}
    EXCEPT
    SELECT ${columns} FROM ${staged_rows}
) AS removed
