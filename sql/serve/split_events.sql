-- Splits by their first published session: new shares per old share. If another company reuses the ticker, a difference
-- between the factors of the two companies shows as a split.
WITH factors AS (
    SELECT
        symbol,
        trade_date,
        split_factor / LAG(split_factor) OVER (PARTITION BY symbol ORDER BY trade_date) AS split_ratio
    FROM ${published_prices} AS p
)
SELECT symbol, trade_date, split_ratio
FROM factors
WHERE split_ratio <> 1E0
