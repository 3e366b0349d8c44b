-- The digest of the staged rows of each session, as coverage/session_rows.sql has it of published rows.
SELECT trade_date, CAST(SUM(number) AS BIGINT) AS digest
FROM (${row_numbers}) AS n
GROUP BY trade_date
