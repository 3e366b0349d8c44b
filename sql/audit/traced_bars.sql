-- The staged rows, each with its origin: a typed bar, or a published row of another session or of an excluded one. Typed
-- bars that are not staged are there too, without a symbol: typed_symbol and typed_date name them.
-- One join for the row audits, the origin of staged rows and the fate of typed rows. differs_from_origin is NULL where a
-- value is NULL.
SELECT
    s.symbol,
    s.trade_date,
    s.open_price,
    s.high_price,
    s.low_price,
    s.close_price,
    s.volume,
    o.unparsed_text,
    o.fetched_at,
    o.contradicting_rows,
    o.symbol IS NOT NULL AS has_origin,
    o.open_price <> s.open_price
        OR o.high_price <> s.high_price
        OR o.low_price <> s.low_price
        OR o.close_price <> s.close_price
        OR o.volume <> s.volume AS differs_from_origin,
    CASE WHEN s.symbol IS NULL AND o.is_typed THEN o.symbol END     AS typed_symbol,
    CASE WHEN s.symbol IS NULL AND o.is_typed THEN o.trade_date END AS typed_date
FROM ${staged_prices} AS s
FULL JOIN (
    SELECT
        symbol, trade_date, open_price, high_price, low_price, close_price, volume, unparsed_text, fetched_at,
        contradicting_rows, TRUE AS is_typed
    FROM ${typed_prices} AS b
    WHERE trade_date NOT IN (SELECT session FROM ${excluded_sessions} AS e)
    UNION ALL
    SELECT
        symbol, trade_date, open_price, high_price, low_price, close_price, volume, NULL, NULL, NULL, FALSE AS is_typed
    FROM ${published_prices} AS p
    WHERE trade_date BETWEEN ${first_date} AND ${last_date}
      AND (NOT trade_date BETWEEN ${first_day} AND ${last_day}
           OR trade_date IN (SELECT session FROM ${excluded_sessions} AS e))
) AS o ON o.symbol = s.symbol AND o.trade_date = s.trade_date
