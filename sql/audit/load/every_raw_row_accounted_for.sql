-- Every raw row of the requested sessions is staged, quarantined, or in an excluded session, and so is every typed row.
-- The warning every_raw_row_has_a_day reports the raw rows that belong to no session.
-- remedy: read the line in the raw response; if sql/stage/typed_prices.sql lost the row, fix that statement.
WITH expected AS (
    SELECT p.symbol, r.trade_date, 'raw' AS kind
    FROM ${raw_prices} AS r
    JOIN ${responses} AS p ON p.path = r."$path"
    JOIN ${sessions} AS c ON c.session = r.trade_date
    WHERE r.trade_date BETWEEN ${start_date} AND ${end_date}
      AND r.trade_date <= p.requested_on
    UNION ALL
    SELECT symbol, trade_date, 'typed' AS kind
    FROM ${typed_prices} AS t
    WHERE trade_date NOT IN (SELECT session FROM ${sessions} AS c)
)
SELECT r.symbol, r.trade_date, r.kind || ' row of ' || DATE_FORMAT(r.trade_date, '%Y-%m-%d') AS detail
FROM expected AS r
LEFT JOIN (
    SELECT symbol, trade_date FROM ${staged_prices} AS s
    UNION ALL
    SELECT symbol, trade_date FROM ${quarantined_prices} AS q
    UNION ALL
    SELECT symbol, trade_date FROM ${typed_prices} AS t
    WHERE trade_date IN (SELECT session FROM ${excluded_sessions} AS e)
) AS a ON a.symbol = r.symbol AND a.trade_date = r.trade_date
WHERE a.symbol IS NULL
