-- The staged rows as the row audits read them: what would be published, with the origin of each bar.
SELECT
    s.symbol,
    s.trade_date,
    s.open_price,
    s.high_price,
    s.low_price,
    s.close_price,
    s.volume,
    t.unparsed_text,
    t.fetched_at
FROM ${staged_prices} AS s
LEFT JOIN ${typed_prices} AS t ON t.symbol = s.symbol AND t.trade_date = s.trade_date
