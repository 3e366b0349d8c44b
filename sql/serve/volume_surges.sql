-- Sessions in which a symbol traded at least twice its mean volume of the 7 previous sessions.
WITH traded AS (
    SELECT p.*, CAST(volume AS DOUBLE) AS shares
    FROM ${published_prices} AS p
)
SELECT
    symbol,
    trade_date,
    volume,
    shares / volume_surge_ratio AS usual_volume,
    volume_surge_ratio,
    price_change_pct
FROM traded
WHERE volume_surge_ratio >= 2E0
