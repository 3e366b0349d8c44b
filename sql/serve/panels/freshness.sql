-- Age of the latest published session.
SELECT latest_session, days_old, weekdays_missed
FROM ${freshness} AS f
