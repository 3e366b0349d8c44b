-- The newest response of every bar from first_day to last_day, as typed columns. Text that is not a plain number
-- becomes NULL and is named in unparsed_text. It is matched before the cast, since Trino and DuckDB cast different
-- texts; the character that TRIM removes is named, since for Trino a tab is a space too. A price of more than 12 digits
-- before the point is no price: it would not fit the decimals of the audits, and with 310 digits it would be infinite.
-- A symbol has one row per day: rows of one response that agree count once; rows that contradict each other become one
-- row without values, and contradicting_rows shows them.
-- A row of a closed day belongs to the sessions around it: it counts if it is in the newest response of one of them. So
-- it does not depend on the other sessions of the load. The row audit only_trading_sessions quarantines it.
-- A row without a readable date, or dated after its response was requested, has no session; the warning
-- every_raw_row_has_a_day reports it.
WITH fields AS (
    SELECT
        p.symbol,
        p.response_key AS payload,
        p.fetched_at,
        p.requested_on,
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
named AS (
    SELECT
        typed.*,
        NULLIF(CONCAT_WS(', ',
            CASE WHEN open_price IS NULL AND open_text <> '' THEN 'open=' || open_text END,
            CASE WHEN high_price IS NULL AND high_text <> '' THEN 'high=' || high_text END,
            CASE WHEN low_price IS NULL AND low_text <> '' THEN 'low=' || low_text END,
            CASE WHEN close_price IS NULL AND close_text <> '' THEN 'close=' || close_text END,
            CASE WHEN volume IS NULL AND volume_text <> '' THEN 'volume=' || volume_text END
        ), '') AS unparsed_text,
        open_text || ',' || high_text || ',' || low_text || ',' || close_text || ',' || volume_text AS line
    FROM typed
    WHERE trade_date BETWEEN ${session_before} AND ${session_after}
      AND trade_date <= requested_on
),
-- The newest response of each symbol and session, also of the sessions before and after the load.
newest AS (
    SELECT DISTINCT symbol, trade_date, payload
    FROM (
        SELECT
            symbol,
            trade_date,
            payload,
            RANK() OVER (PARTITION BY symbol, trade_date ORDER BY fetched_at DESC, payload DESC) AS age
        FROM named
    ) AS r
    WHERE age = 1
),
in_load AS (
    SELECT n.*
    FROM named AS n
    LEFT JOIN ${closed_days} AS c ON c.day = n.trade_date
    LEFT JOIN newest AS b ON b.symbol = n.symbol AND b.payload = n.payload AND b.trade_date = c.session_before
    LEFT JOIN newest AS a ON a.symbol = n.symbol AND a.payload = n.payload AND a.trade_date = c.session_after
    WHERE n.trade_date BETWEEN ${first_day} AND ${last_day}
      AND (c.day IS NULL OR b.symbol IS NOT NULL OR a.symbol IS NOT NULL)
),
ranked AS (
    SELECT
        in_load.*,
        RANK() OVER (PARTITION BY symbol, trade_date ORDER BY fetched_at DESC, payload DESC) AS age
    FROM in_load
),
-- Rows agree if they have the same values, however these are written.
versions AS (
    SELECT
        symbol, trade_date, fetched_at, payload,
        open_price, high_price, low_price, close_price, volume, unparsed_text,
        MIN(line) AS line
    FROM ranked
    WHERE age = 1
    GROUP BY
        symbol, trade_date, fetched_at, payload,
        open_price, high_price, low_price, close_price, volume, unparsed_text
),
bars AS (
    SELECT
        symbol,
        trade_date,
        fetched_at,
        payload,
        MIN(open_price)                                   AS open_price,
        MIN(high_price)                                   AS high_price,
        MIN(low_price)                                    AS low_price,
        MIN(close_price)                                  AS close_price,
        MIN(volume)                                       AS volume,
        MIN(unparsed_text)                                AS unparsed_text,
        COUNT(*)                                          AS versions,
        ARRAY_JOIN(ARRAY_AGG(line ORDER BY line), ' | ')  AS lines
    FROM versions
    GROUP BY symbol, trade_date, fetched_at, payload
)
SELECT
    symbol,
    trade_date,
    CASE WHEN versions = 1 THEN open_price END     AS open_price,
    CASE WHEN versions = 1 THEN high_price END     AS high_price,
    CASE WHEN versions = 1 THEN low_price END      AS low_price,
    CASE WHEN versions = 1 THEN close_price END    AS close_price,
    CASE WHEN versions = 1 THEN volume END         AS volume,
    CASE WHEN versions = 1 THEN unparsed_text END  AS unparsed_text,
    fetched_at,
    payload,
    CASE WHEN versions > 1 THEN lines END          AS contradicting_rows
FROM bars
