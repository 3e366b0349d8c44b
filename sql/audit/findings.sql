-- The bad rows of all audits: the first sample_rows of each audit and one of each session, with the total number.
SELECT audit, symbol, trade_date, detail, bad_rows
FROM (
    SELECT
        f.*,
        COUNT(*) OVER (PARTITION BY audit)                                            AS bad_rows,
        ROW_NUMBER() OVER (PARTITION BY audit ORDER BY trade_date, symbol, detail)      AS sample_row,
        ROW_NUMBER() OVER (PARTITION BY audit, trade_date ORDER BY symbol, detail)      AS session_row
    FROM (${findings}) AS f
) AS counted
WHERE sample_row <= ${sample_rows} OR session_row = 1
ORDER BY audit, sample_row
