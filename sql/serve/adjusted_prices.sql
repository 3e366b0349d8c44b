-- Split-adjusted prices and volumes of published bars, for charts.
-- A price of day d is p(d) * factor(d) / latest factor of the symbol; a volume is v(d) * latest factor / factor(d).
-- If another company reuses the ticker, the bars of both are adjusted to its latest factor.
SELECT
    p.symbol,
    p.trade_date,
    p.open_price * (p.split_factor / l.latest_factor)  AS open_price,
    p.high_price * (p.split_factor / l.latest_factor)  AS high_price,
    p.low_price * (p.split_factor / l.latest_factor)   AS low_price,
    p.close_price * (p.split_factor / l.latest_factor) AS close_price,
    CAST(p.volume AS DOUBLE) * (l.latest_factor / p.split_factor) AS volume
FROM ${published_prices} AS p
JOIN (
    SELECT symbol, MAX_BY(split_factor, trade_date) AS latest_factor
    FROM ${published_prices}
    GROUP BY symbol
) AS l ON l.symbol = p.symbol
