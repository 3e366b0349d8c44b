-- The bad rows of all audits, at most sample_rows of each, with the number of all of them.
SELECT audit, symbol, trade_date, detail, bad_rows
FROM (
    SELECT
        f.*,
        COUNT(*) OVER (PARTITION BY audit)                                       AS bad_rows,
        ROW_NUMBER() OVER (PARTITION BY audit ORDER BY trade_date, symbol, detail) AS sample_row
    FROM (${findings}) AS f
) AS counted
WHERE sample_row <= ${sample_rows}
ORDER BY audit, sample_row
