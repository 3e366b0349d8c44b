-- Symbols of each session ranked by their change from the previous close: the largest gain has gain_rank 1, the largest
-- loss has loss_rank 1; equal changes share a rank. Symbols without a previous close are omitted.
SELECT
    symbol,
    trade_date,
    close_price,
    price_change_pct,
    RANK() OVER (PARTITION BY trade_date ORDER BY price_change_pct DESC) AS gain_rank,
    RANK() OVER (PARTITION BY trade_date ORDER BY price_change_pct)      AS loss_rank
FROM ${published_prices} AS p
WHERE price_change_pct IS NOT NULL
