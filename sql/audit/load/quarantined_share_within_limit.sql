-- In no session are more than the allowed share of the symbols quarantined; one bad tick is noise, many are a bad feed.
-- remedy: compare the session with another source; if the bars are right, raise STOCK_ASSETS_MAX_QUARANTINED_SHARE.
SELECT
    CAST(NULL AS VARCHAR) AS symbol,
    t.trade_date,
    CAST(COUNT(q.symbol) AS VARCHAR) || ' of ' || CAST(COUNT(*) AS VARCHAR) || ' symbols quarantined' AS detail
FROM (SELECT DISTINCT symbol, trade_date FROM ${typed_prices}) AS t
LEFT JOIN (SELECT DISTINCT symbol, trade_date FROM ${quarantined_prices}) AS q
    ON q.symbol = t.symbol AND q.trade_date = t.trade_date
GROUP BY t.trade_date
HAVING CAST(COUNT(q.symbol) AS DOUBLE) / CAST(COUNT(*) AS DOUBLE) > ${max_quarantined_share}
