-- The staged rows as the row audits read them: what would be published, with the origin of each bar. The bars of other
-- sessions and of excluded sessions are published already, and have no origin in this load.
SELECT
    s.symbol,
    s.trade_date,
    s.open_price,
    s.high_price,
    s.low_price,
    s.close_price,
    s.volume,
    t.unparsed_text,
    t.fetched_at,
    t.contradicting_rows,
    t.symbol IS NOT NULL AS has_typed_bar,
    -- NULL where a value is NULL.
    t.open_price <> s.open_price
        OR t.high_price <> s.high_price
        OR t.low_price <> s.low_price
        OR t.close_price <> s.close_price
        OR t.volume <> s.volume AS differs_from_typed_bar
FROM ${staged_prices} AS s
LEFT JOIN (
    SELECT * FROM ${typed_prices} AS b WHERE trade_date NOT IN (SELECT session FROM ${excluded_sessions} AS e)
) AS t ON t.symbol = s.symbol AND t.trade_date = s.trade_date
