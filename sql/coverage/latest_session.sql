-- The latest published session since a day, and the number of symbols published for the expected session.
SELECT MAX(trade_date) AS latest_session, COUNT(CASE WHEN trade_date = ${expected} THEN symbol END) AS symbols
FROM ${published_prices} AS p
WHERE trade_date >= ${since}
