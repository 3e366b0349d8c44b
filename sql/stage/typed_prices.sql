-- The newest response of every bar from first_day to last_day, as typed columns. Text that is not a plain number
-- becomes NULL and is named in unparsed_text. It is matched before the cast, since Trino and DuckDB cast different
-- texts; the character that TRIM removes is named, since for Trino a tab is a space too. A price of more than 12 digits
-- before the point is no price: it would not fit the decimals of the audits, and with 310 digits it would be infinite.
-- Nearly every row is plain: all its texts are numbers, which one comparison of the whole row finds. Only the texts of
-- the other rows are trimmed and matched one by one.
-- A symbol has one row per day: rows of one response that agree count once; rows that contradict each other become one
-- row without values, and contradicting_rows shows them.
-- A row of a closed day belongs to the sessions around it: it counts if it is in the newest response of one of them. So
-- it does not depend on the other sessions of the load. The row audit only_trading_sessions quarantines it.
-- A row without a readable date, or dated after its response was requested, has no session; the warning
-- every_raw_row_has_a_day reports it.
-- Nearly every bar has a single row: only the rows of the others (ambiguous) are ranked and compared.
WITH fields AS (
    SELECT
        p.symbol,
        p.number,
        p.requested_on,
        r."timestamp" AS date_text,
        r."open"      AS open_text,
        r.high        AS high_text,
        r.low         AS low_text,
        r."close"     AS close_text,
        r.volume      AS volume_text,
        REGEXP_LIKE(
            r."open" || ',' || r.high || ',' || r.low || ',' || r."close" || ',' || r.volume,
            '^(?:[0-9]{1,12}(?:[.][0-9]{1,20})?,){4}[0-9]+$'
        ) AS is_plain
    FROM ${raw_prices} AS r
    JOIN ${responses} AS p ON p.path = r."$path"
),
dated AS (
    SELECT
        symbol,
        number,
        requested_on,
        CASE WHEN REGEXP_LIKE(TRIM(BOTH ' ' FROM date_text), '^[0-9]{4}-[0-9]{2}-[0-9]{2}$')
             THEN TRY_CAST(TRIM(BOTH ' ' FROM date_text) AS DATE) END                           AS trade_date,
        is_plain,
        CASE WHEN is_plain THEN open_text ELSE COALESCE(TRIM(BOTH ' ' FROM open_text), '') END     AS open_text,
        CASE WHEN is_plain THEN high_text ELSE COALESCE(TRIM(BOTH ' ' FROM high_text), '') END     AS high_text,
        CASE WHEN is_plain THEN low_text ELSE COALESCE(TRIM(BOTH ' ' FROM low_text), '') END       AS low_text,
        CASE WHEN is_plain THEN close_text ELSE COALESCE(TRIM(BOTH ' ' FROM close_text), '') END   AS close_text,
        CASE WHEN is_plain THEN volume_text ELSE COALESCE(TRIM(BOTH ' ' FROM volume_text), '') END AS volume_text
    FROM fields
),
typed AS (
    SELECT
        d.*,
        COALESCE(c.session, d.trade_date) AS session,
        CASE WHEN is_plain OR REGEXP_LIKE(open_text, '^-?[0-9]{1,12}([.][0-9]{1,20})?$')
             THEN TRY_CAST(open_text AS DOUBLE) END AS open_price,
        CASE WHEN is_plain OR REGEXP_LIKE(high_text, '^-?[0-9]{1,12}([.][0-9]{1,20})?$')
             THEN TRY_CAST(high_text AS DOUBLE) END AS high_price,
        CASE WHEN is_plain OR REGEXP_LIKE(low_text, '^-?[0-9]{1,12}([.][0-9]{1,20})?$')
             THEN TRY_CAST(low_text AS DOUBLE) END AS low_price,
        CASE WHEN is_plain OR REGEXP_LIKE(close_text, '^-?[0-9]{1,12}([.][0-9]{1,20})?$')
             THEN TRY_CAST(close_text AS DOUBLE) END AS close_price,
        CASE WHEN is_plain OR REGEXP_LIKE(volume_text, '^-?[0-9]+$')
             THEN TRY_CAST(volume_text AS BIGINT) END AS volume
    FROM dated AS d
    -- A row of a closed day is read twice, once for each session around it.
    LEFT JOIN (
        SELECT day, session_before AS session FROM ${closed_days} AS b
        UNION ALL
        SELECT day, session_after AS session FROM ${closed_days} AS a
    ) AS c ON c.day = d.trade_date
    WHERE d.trade_date BETWEEN ${session_before} AND ${session_after}
      AND d.trade_date <= d.requested_on
),
named AS (
    SELECT
        typed.*,
        -- The condition avoids building a text for every row.
        CASE WHEN open_price IS NULL OR high_price IS NULL OR low_price IS NULL OR close_price IS NULL OR volume IS NULL
             THEN NULLIF(CONCAT_WS(', ',
                CASE WHEN open_price IS NULL AND open_text <> '' THEN 'open=' || open_text END,
                CASE WHEN high_price IS NULL AND high_text <> '' THEN 'high=' || high_text END,
                CASE WHEN low_price IS NULL AND low_text <> '' THEN 'low=' || low_text END,
                CASE WHEN close_price IS NULL AND close_text <> '' THEN 'close=' || close_text END,
                CASE WHEN volume IS NULL AND volume_text <> '' THEN 'volume=' || volume_text END
             ), '') END AS unparsed_text
    FROM typed
),
-- The bars with several rows, and all of closed days, each with the newest response of its session; also of the sessions
-- before and after the load.
ambiguous AS (
    SELECT symbol, session, MAX(CASE WHEN trade_date = session THEN number END) AS newest
    FROM named
    GROUP BY symbol, session
    HAVING COUNT(*) > 1 OR MIN(trade_date) <> session
),
ranked AS (
    SELECT
        n.*,
        open_text || ',' || high_text || ',' || low_text || ',' || close_text || ',' || volume_text AS line,
        RANK() OVER (PARTITION BY n.symbol, n.trade_date ORDER BY n.number DESC) AS age
    FROM named AS n
    JOIN ambiguous AS a ON a.symbol = n.symbol AND a.session = n.session AND a.newest = n.number
    WHERE n.trade_date BETWEEN ${first_day} AND ${last_day}
),
-- Rows agree if they have the same values, however these are written.
versions AS (
    SELECT
        symbol, trade_date, number, open_price, high_price, low_price, close_price, volume, unparsed_text,
        MIN(line) AS line
    FROM ranked
    WHERE age = 1
    GROUP BY symbol, trade_date, number, open_price, high_price, low_price, close_price, volume, unparsed_text
),
bars AS (
    SELECT
        n.symbol, n.trade_date, n.number, open_price, high_price, low_price, close_price, volume, unparsed_text,
        CAST(NULL AS VARCHAR) AS contradicting_rows
    FROM named AS n
    LEFT JOIN ambiguous AS a ON a.symbol = n.symbol AND a.session = n.session
    WHERE a.symbol IS NULL
      AND n.trade_date BETWEEN ${first_day} AND ${last_day}
    UNION ALL
    SELECT
        symbol,
        trade_date,
        number,
        CASE WHEN COUNT(*) = 1 THEN MIN(open_price) END,
        CASE WHEN COUNT(*) = 1 THEN MIN(high_price) END,
        CASE WHEN COUNT(*) = 1 THEN MIN(low_price) END,
        CASE WHEN COUNT(*) = 1 THEN MIN(close_price) END,
        CASE WHEN COUNT(*) = 1 THEN MIN(volume) END,
        CASE WHEN COUNT(*) = 1 THEN MIN(unparsed_text) END,
        CASE WHEN COUNT(*) > 1 THEN ARRAY_JOIN(ARRAY_AGG(line ORDER BY line), ' | ') END
    FROM versions
    GROUP BY symbol, trade_date, number
)
SELECT
    b.symbol,
    b.trade_date,
    b.open_price,
    b.high_price,
    b.low_price,
    b.close_price,
    b.volume,
    b.unparsed_text,
    p.fetched_at,
    p.response_key AS payload,
    b.contradicting_rows
FROM bars AS b
JOIN ${responses} AS p ON p.number = b.number
