-- Sessions of unusual volume, newest first.
SELECT trade_date, symbol, volume, usual_volume, volume_surge_ratio, price_change_pct
FROM ${volume_surges} AS v
WHERE ${dates} AND ${symbols}
ORDER BY trade_date DESC, volume_surge_ratio DESC
LIMIT 100
