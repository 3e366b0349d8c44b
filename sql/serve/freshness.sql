-- Age of the latest published session. weekdays_missed counts the weekdays after it and before today (UTC): 0 if no
-- session is late, 1 also on the day after a holiday, 2 or more only if a session is late.
WITH latest AS (
    SELECT MAX(trade_date) AS latest_session
    FROM ${published_prices} AS p
),
-- Days from Monday, 1970-01-05, to the day after the latest session, and to today.
counted AS (
    SELECT
        latest_session,
        CAST(DATE_DIFF('day', DATE '1970-01-05', latest_session) + 1 AS DOUBLE) AS from_day,
        CAST(DATE_DIFF('day', DATE '1970-01-05', ${today}) AS DOUBLE)           AS to_day
    FROM latest
)
SELECT
    latest_session,
    DATE_DIFF('day', latest_session, ${today}) AS days_old,
    CASE WHEN latest_session >= ${today} THEN 0 ELSE CAST(
        (5E0 * FLOOR(to_day / 7E0) + LEAST(to_day - 7E0 * FLOOR(to_day / 7E0), 5E0))
        - (5E0 * FLOOR(from_day / 7E0) + LEAST(from_day - 7E0 * FLOOR(from_day / 7E0), 5E0))
        AS BIGINT
    ) END AS weekdays_missed
FROM counted
