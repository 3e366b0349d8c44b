-- The latest published session since a day, and how many symbols the session that should be it has.
SELECT MAX(trade_date) AS latest_session, COUNT(CASE WHEN trade_date = ${expected} THEN symbol END) AS symbols
FROM ${published_prices} AS p
WHERE trade_date >= ${since}
