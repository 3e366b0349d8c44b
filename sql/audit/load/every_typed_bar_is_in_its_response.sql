-- Every typed bar has the values of a row of its raw response; a value that is no plain number is NULL.
-- remedy: load the sessions again; if the bar returns, fix sql/stage/typed_prices.sql.
SELECT t.symbol, t.trade_date, 'no row of its raw response has these values' AS detail
FROM ${typed_prices} AS t
LEFT JOIN (
    SELECT
        symbol,
        response_key,
        CASE WHEN REGEXP_LIKE(date_text, '^[0-9]{4}-[0-9]{2}-[0-9]{2}$') THEN TRY_CAST(date_text AS DATE) END AS trade_date,
        CASE WHEN REGEXP_LIKE(open_text, '^-?[0-9]{1,12}([.][0-9]{1,20})?$') THEN TRY_CAST(open_text AS DOUBLE) END AS open_price,
        CASE WHEN REGEXP_LIKE(high_text, '^-?[0-9]{1,12}([.][0-9]{1,20})?$') THEN TRY_CAST(high_text AS DOUBLE) END AS high_price,
        CASE WHEN REGEXP_LIKE(low_text, '^-?[0-9]{1,12}([.][0-9]{1,20})?$') THEN TRY_CAST(low_text AS DOUBLE) END AS low_price,
        CASE WHEN REGEXP_LIKE(close_text, '^-?[0-9]{1,12}([.][0-9]{1,20})?$') THEN TRY_CAST(close_text AS DOUBLE) END AS close_price,
        CASE WHEN REGEXP_LIKE(volume_text, '^-?[0-9]+$') THEN TRY_CAST(volume_text AS BIGINT) END AS volume
    FROM (
        SELECT
            p.symbol,
            p.response_key,
            TRIM(BOTH ' ' FROM r."timestamp") AS date_text,
            TRIM(BOTH ' ' FROM r."open")      AS open_text,
            TRIM(BOTH ' ' FROM r.high)        AS high_text,
            TRIM(BOTH ' ' FROM r.low)         AS low_text,
            TRIM(BOTH ' ' FROM r."close")     AS close_text,
            TRIM(BOTH ' ' FROM r.volume)      AS volume_text
        FROM ${raw_prices} AS r
        JOIN ${responses} AS p ON p.path = r."$path"
    ) AS x
) AS v
    ON  v.symbol = t.symbol
    AND v.response_key = t.payload
    AND v.trade_date = t.trade_date
    AND (t.open_price IS NULL OR v.open_price = t.open_price)
    AND (t.high_price IS NULL OR v.high_price = t.high_price)
    AND (t.low_price IS NULL OR v.low_price = t.low_price)
    AND (t.close_price IS NULL OR v.close_price = t.close_price)
    AND (t.volume IS NULL OR v.volume = t.volume)
WHERE v.symbol IS NULL
