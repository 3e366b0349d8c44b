-- The newest response of every bar from start_date to end_date, as typed columns. Text that is not a plain number
-- becomes NULL and is named in unparsed_text. It is matched before the cast, since Trino and DuckDB cast different
-- texts; the character that TRIM removes is named, since for Trino a tab is a space too. A price of more than 12 digits
-- before the point is no price: it would not fit the decimals of the audits, and with 310 digits it would be infinite.
-- RANK keeps both bars if one response holds a session twice, so that the audit one_row_per_symbol_and_session finds
-- them. A row without a readable date has no session; the audit every_raw_row_accounted_for finds it.
WITH fields AS (
    SELECT
        p.symbol,
        p.response_key AS payload,
        p.fetched_at,
        COALESCE(TRIM(BOTH ' ' FROM r."timestamp"), '') AS date_text,
        COALESCE(TRIM(BOTH ' ' FROM r."open"), '')      AS open_text,
        COALESCE(TRIM(BOTH ' ' FROM r.high), '')        AS high_text,
        COALESCE(TRIM(BOTH ' ' FROM r.low), '')         AS low_text,
        COALESCE(TRIM(BOTH ' ' FROM r."close"), '')     AS close_text,
        COALESCE(TRIM(BOTH ' ' FROM r.volume), '')      AS volume_text
    FROM ${raw_prices} AS r
    JOIN ${responses} AS p ON p.path = r."$path"
),
typed AS (
    SELECT
        fields.*,
        CASE WHEN REGEXP_LIKE(date_text, '^[0-9]{4}-[0-9]{2}-[0-9]{2}$') THEN TRY_CAST(date_text AS DATE) END
            AS trade_date,
        CASE WHEN REGEXP_LIKE(open_text, '^-?[0-9]{1,12}([.][0-9]{1,20})?$') THEN TRY_CAST(open_text AS DOUBLE) END
            AS open_price,
        CASE WHEN REGEXP_LIKE(high_text, '^-?[0-9]{1,12}([.][0-9]{1,20})?$') THEN TRY_CAST(high_text AS DOUBLE) END
            AS high_price,
        CASE WHEN REGEXP_LIKE(low_text, '^-?[0-9]{1,12}([.][0-9]{1,20})?$') THEN TRY_CAST(low_text AS DOUBLE) END
            AS low_price,
        CASE WHEN REGEXP_LIKE(close_text, '^-?[0-9]{1,12}([.][0-9]{1,20})?$') THEN TRY_CAST(close_text AS DOUBLE) END
            AS close_price,
        CASE WHEN REGEXP_LIKE(volume_text, '^-?[0-9]+$') THEN TRY_CAST(volume_text AS BIGINT) END
            AS volume
    FROM fields
),
ranked AS (
    SELECT
        typed.*,
        RANK() OVER (PARTITION BY symbol, trade_date ORDER BY fetched_at DESC, payload DESC) AS age
    FROM typed
    WHERE trade_date BETWEEN ${start_date} AND ${end_date}
)
SELECT
    symbol,
    trade_date,
    open_price,
    high_price,
    low_price,
    close_price,
    volume,
    NULLIF(CONCAT_WS(', ',
        CASE WHEN open_price IS NULL AND open_text <> '' THEN 'open=' || open_text END,
        CASE WHEN high_price IS NULL AND high_text <> '' THEN 'high=' || high_text END,
        CASE WHEN low_price IS NULL AND low_text <> '' THEN 'low=' || low_text END,
        CASE WHEN close_price IS NULL AND close_text <> '' THEN 'close=' || close_text END,
        CASE WHEN volume IS NULL AND volume_text <> '' THEN 'volume=' || volume_text END
    ), '') AS unparsed_text,
    fetched_at,
    payload
FROM ranked
WHERE age = 1
