-- Quarantined bars, newest first.
SELECT trade_date, symbol, audit, detail, load_id
FROM ${published_quarantine} AS q
WHERE ${dates}
ORDER BY trade_date DESC, symbol, audit
LIMIT 100
