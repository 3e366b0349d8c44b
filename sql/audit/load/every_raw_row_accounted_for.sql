-- Every raw row of the requested sessions is staged, quarantined, or in an excluded session, and so is every typed row.
-- The warning every_raw_row_has_a_day reports the raw rows that belong to no session.
-- A raw row has a typed row, of its own response or of a newer one. So it is enough to look for the typed rows.
-- remedy: read the line in the raw response; if sql/stage/typed_prices.sql lost the row, fix that statement.
WITH other_responses AS (
    SELECT DISTINCT d.symbol, d.trade_date
    FROM ${raw_differences} AS d
    JOIN ${sessions} AS c ON c.session = d.trade_date
    WHERE NOT d.is_typed
      AND d.trade_date BETWEEN ${start_date} AND ${end_date}
      AND d.trade_date <= d.requested_on
),
lost AS (
    SELECT r.symbol, r.trade_date
    FROM other_responses AS r
    LEFT JOIN (
        -- Few symbols have such rows; those of the others are not compared.
        SELECT symbol, trade_date FROM ${typed_prices} AS b WHERE symbol IN (SELECT symbol FROM other_responses)
    ) AS t ON t.symbol = r.symbol AND t.trade_date = r.trade_date
    WHERE t.symbol IS NULL
    UNION ALL
    SELECT typed_symbol, typed_date
    FROM ${traced_bars} AS t
    LEFT JOIN ${quarantined_prices} AS q ON q.symbol = t.typed_symbol AND q.trade_date = t.typed_date
    WHERE t.typed_symbol IS NOT NULL
      AND q.symbol IS NULL
)
SELECT
    l.symbol,
    l.trade_date,
    CASE WHEN c.session IS NULL THEN 'typed' ELSE 'raw' END || ' row of ' || DATE_FORMAT(l.trade_date, '%Y-%m-%d')
        AS detail
FROM lost AS l
LEFT JOIN ${sessions} AS c ON c.session = l.trade_date
