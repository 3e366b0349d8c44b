-- Replace a range of a published table by the staged rows, in one commit: rows are added, changed and removed
-- together. Rows that are equal in every column are not written, so a repetition commits nothing. The audited snapshot
-- must still be the current one: otherwise the cast of the snapshot id fails, and with it the whole statement.
MERGE INTO ${target} AS t
USING (
    SELECT c.*
    FROM (
        SELECT 'keep' AS fate, ${columns}
        FROM ${staged_rows} AS n
        WHERE trade_date BETWEEN ${first_date} AND ${last_date}
        UNION ALL
        SELECT 'drop' AS fate, ${published_columns}
        FROM ${published_rows} AS p
        LEFT JOIN ${staged_rows} AS n ON ${same_key_as_staged}
        WHERE p.trade_date BETWEEN ${first_date} AND ${last_date}
          AND n.symbol IS NULL
    ) AS c
    JOIN (
        SELECT CASE
            WHEN COALESCE(MAX(snapshot_id), 0) = ${base} THEN ${base}
            ELSE CAST(${changed} || COALESCE(CAST(MAX(snapshot_id) AS VARCHAR), 'none') AS BIGINT)
        END AS base
        FROM ${refs}
        WHERE name = 'main'
    ) AS g ON g.base = ${base}
) AS s
ON  ${same_key}
AND t.trade_date BETWEEN ${first_date} AND ${last_date}
WHEN MATCHED AND s.fate = 'drop' THEN DELETE
WHEN MATCHED AND (${differs}) THEN UPDATE SET ${assignments}
WHEN NOT MATCHED THEN INSERT (${columns}) VALUES (${values})
