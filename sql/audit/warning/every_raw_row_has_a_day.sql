-- Every row of the responses of this load has a readable date that is not later than the request. A row without one
-- belongs to no session, so it is neither published nor quarantined.
-- remedy: read the line in the raw response and report it to the vendor; if the vendor changed its date format, change
-- sql/stage/raw_rows.sql.
SELECT
    symbol,
    trade_date,
    CASE WHEN trade_date > requested_on THEN 'dated after the request of ' || DATE_FORMAT(requested_on, '%Y-%m-%d')
         WHEN trade_date IS NULL THEN 'unreadable date'
         ELSE 'dated before ' || DATE_FORMAT(${calendar_start}, '%Y-%m-%d') END
        || ', response ' || response_key || ': ' || date_text || ',' || bar_text AS detail
FROM (
    SELECT p.symbol, p.response_key, p.requested_on, r.trade_date, r.date_text, r.bar_text
    FROM (
        SELECT *
        FROM ${raw_prices} AS a
        -- Few rows are later than the oldest response: only these are joined.
        WHERE NOT COALESCE(
            trade_date BETWEEN ${calendar_start} AND (SELECT MIN(requested_on) FROM ${responses} AS o), FALSE
        )
    ) AS r
    JOIN ${responses} AS p ON p.path = r."$path"
) AS raw_rows
WHERE NOT COALESCE(trade_date BETWEEN ${calendar_start} AND requested_on, FALSE)
