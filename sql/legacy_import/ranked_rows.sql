-- The rows that can be imported, ranked from newest (1) to oldest: `age` of their file among all files with the symbol
-- and session, `copy_age` among the rows with equal content. Numbers are equal if only trailing zeros differ: 100.10 and
-- 100.1. Rows of one file have the same age: if they contradict each other, nothing shows which one is right, so all are
-- imported and quarantined.
WITH compared AS (
    SELECT
        r.*,
        CONCAT_WS(',',
            CASE WHEN REGEXP_LIKE(open_text, '^-?[0-9]+[.][0-9]+$')
                 THEN TRIM(TRAILING '.' FROM TRIM(TRAILING '0' FROM open_text)) ELSE open_text END,
            CASE WHEN REGEXP_LIKE(high_text, '^-?[0-9]+[.][0-9]+$')
                 THEN TRIM(TRAILING '.' FROM TRIM(TRAILING '0' FROM high_text)) ELSE high_text END,
            CASE WHEN REGEXP_LIKE(low_text, '^-?[0-9]+[.][0-9]+$')
                 THEN TRIM(TRAILING '.' FROM TRIM(TRAILING '0' FROM low_text)) ELSE low_text END,
            CASE WHEN REGEXP_LIKE(close_text, '^-?[0-9]+[.][0-9]+$')
                 THEN TRIM(TRAILING '.' FROM TRIM(TRAILING '0' FROM close_text)) ELSE close_text END,
            volume_text
        ) AS content
    FROM ${legacy_rows} AS r
    WHERE problem IS NULL
)
SELECT
    symbol,
    trade_date,
    open_text,
    high_text,
    low_text,
    close_text,
    volume_text,
    content,
    name,
    line,
    written_at,
    closes_at,
    RANK() OVER (PARTITION BY symbol, trade_date ORDER BY written_at DESC, name DESC) AS age,
    ROW_NUMBER() OVER (
        PARTITION BY symbol, trade_date, content ORDER BY written_at DESC, name DESC, line DESC
    ) AS copy_age
FROM compared
ORDER BY symbol, trade_date
