-- The quarantined bars after a load with excluded sessions: those of the load, and those that excluded sessions have now.
SELECT ${columns}
FROM ${staged_rows} AS s
WHERE trade_date NOT IN (SELECT session FROM ${excluded_sessions} AS e)
UNION ALL
SELECT ${columns}
FROM ${published_rows} AS p
WHERE trade_date BETWEEN ${first_date} AND ${last_date}
  AND trade_date IN (SELECT session FROM ${excluded_sessions} AS e)
