-- The requested sessions in which a session audit found a bad row.
SELECT DISTINCT trade_date AS session
FROM (${session_failures}) AS f
