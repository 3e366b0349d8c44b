-- The findings of all chunks of symbols, as findings.sql has them of all symbols: the first sample_rows of each audit and
-- one of each session, or up to sample_rows of each excluded session. Each chunk has found its first ones.
SELECT f.audit, f.symbol, f.trade_date, f.detail, t.bad_rows
FROM (
    SELECT
        c.*,
        ROW_NUMBER() OVER (PARTITION BY audit ORDER BY trade_date, symbol, detail)      AS sample_row,
        ROW_NUMBER() OVER (PARTITION BY audit, trade_date ORDER BY symbol, detail)      AS session_row
    FROM ${chunk_findings} AS c
) AS f
JOIN (
    SELECT audit, CAST(SUM(bad_rows) AS BIGINT) AS bad_rows
    FROM (SELECT DISTINCT audit, chunk, bad_rows FROM ${chunk_findings} AS n) AS counted
    GROUP BY audit
) AS t ON t.audit = f.audit
WHERE f.sample_row <= ${sample_rows}
   OR f.session_row = 1
   OR (f.session_row <= ${sample_rows} AND f.trade_date IN (SELECT session FROM ${excluded_sessions} AS e))
ORDER BY f.audit, f.sample_row
