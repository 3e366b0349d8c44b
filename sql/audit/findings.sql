-- The bad rows of all audits, with the total number: the first sample_rows of each audit and one of each session, or up to
-- sample_rows of each excluded session.
SELECT audit, symbol, trade_date, detail, bad_rows
FROM (
    SELECT
        f.*,
        COUNT(*) OVER (PARTITION BY audit)                                            AS bad_rows,
        ROW_NUMBER() OVER (PARTITION BY audit ORDER BY trade_date, symbol, detail)      AS sample_row,
        ROW_NUMBER() OVER (PARTITION BY audit, trade_date ORDER BY symbol, detail)      AS session_row
    FROM (${findings}) AS f
) AS counted
WHERE sample_row <= ${sample_rows}
   OR session_row = 1
   OR (session_row <= ${sample_rows} AND trade_date IN (SELECT session FROM ${excluded_sessions} AS e))
ORDER BY audit, sample_row
