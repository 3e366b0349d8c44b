-- The typed bars of this load that fail a row audit, one row per bar and audit.
-- A bar that an earlier load quarantined with the same content keeps the id of that load, so that a repetition changes
-- nothing.
WITH failures AS (
    SELECT DISTINCT audit, symbol, trade_date, detail
    FROM (${row_failures}) AS f
),
quarantined AS (
    SELECT
        t.symbol,
        t.trade_date,
        f.audit,
        f.detail,
        t.open_price,
        t.high_price,
        t.low_price,
        t.close_price,
        t.volume,
        t.unparsed_text,
        t.fetched_at,
        t.payload,
        t.contradicting_rows
    FROM failures AS f
    JOIN (
        -- Few symbols have such bars; those of the others are not compared.
        SELECT * FROM ${typed_prices} AS b WHERE symbol IN (SELECT symbol FROM failures)
    ) AS t ON t.symbol = f.symbol AND t.trade_date = f.trade_date
)
SELECT
    q.symbol,
    q.trade_date,
    q.audit,
    q.detail,
    q.open_price,
    q.high_price,
    q.low_price,
    q.close_price,
    q.volume,
    q.unparsed_text,
    q.fetched_at,
    q.payload,
    COALESCE(k.load_id, ${load_id}) AS load_id,
    q.contradicting_rows
FROM quarantined AS q
LEFT JOIN ${published_quarantine} AS k
    ON  k.symbol = q.symbol
    AND k.trade_date = q.trade_date
    AND k.audit = q.audit
    AND k.payload = q.payload
    -- All rows of q lie in this range; the condition is repeated so that an engine reads only these partitions.
    AND k.trade_date BETWEEN ${first_day} AND ${last_day}
