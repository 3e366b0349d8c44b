-- The newest response of every bar from first_day to last_day, as typed columns. Text that is not a plain number
-- is NULL and is named in unparsed_text.
-- A symbol has one row per day: rows of one response that agree count once; rows that contradict each other become one
-- row without values, and contradicting_rows shows them.
-- A row of a closed day belongs to the sessions around it: it counts if it is in the newest response of one of them. So
-- it does not depend on the other sessions of the load. The row audit only_trading_sessions quarantines it.
-- A row without a readable date, or dated after its response was requested, has no session; the warning
-- every_raw_row_has_a_day reports it.
-- Nearly every bar has a single row: only the rows of the others (ambiguous) are ranked and compared.
WITH named AS (
    SELECT
        p.symbol,
        p.number,
        r.trade_date,
        COALESCE(c.session, r.trade_date) AS session,
        r.open_price,
        r.high_price,
        r.low_price,
        r.close_price,
        r.volume,
        r.unparsed_text,
        r.bar_text
    FROM ${raw_prices} AS r
    JOIN ${responses} AS p ON p.path = r."$path"
    -- A row of a closed day is read twice, once for each session around it.
    LEFT JOIN (
        SELECT day, session_before AS session FROM ${closed_days} AS b
        UNION ALL
        SELECT day, session_after AS session FROM ${closed_days} AS a
    ) AS c ON c.day = r.trade_date
    WHERE r.trade_date BETWEEN ${session_before} AND ${session_after}
      AND r.trade_date <= p.requested_on
),
-- The symbols that may have such bars; not those with one response, of which no text is kept.
unclear AS (
    SELECT symbol
    FROM named
    GROUP BY symbol
    HAVING MIN(number) <> MAX(number) OR COUNT(bar_text) > 0 OR SUM(CASE WHEN trade_date <> session THEN 1 ELSE 0 END) > 0
),
-- The bars with several rows, and all of closed days, each with the newest response of its session; also of the sessions
-- before and after the load.
ambiguous AS (
    SELECT symbol, session, MAX(CASE WHEN trade_date = session THEN number END) AS newest
    FROM named
    WHERE symbol IN (SELECT symbol FROM unclear)
    GROUP BY symbol, session
    HAVING COUNT(*) > 1 OR MIN(trade_date) <> session
),
ranked AS (
    SELECT
        n.*,
        RANK() OVER (PARTITION BY n.symbol, n.trade_date ORDER BY n.number DESC) AS age
    FROM named AS n
    JOIN ambiguous AS a ON a.symbol = n.symbol AND a.session = n.session AND a.newest = n.number
    WHERE n.trade_date BETWEEN ${first_day} AND ${last_day}
),
-- Rows agree if they have the same values, however these are written.
versions AS (
    SELECT
        symbol, trade_date, number, open_price, high_price, low_price, close_price, volume, unparsed_text,
        MIN(bar_text) AS bar_text
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
        CASE WHEN COUNT(*) > 1 THEN ARRAY_JOIN(ARRAY_AGG(bar_text ORDER BY bar_text), ' | ') END
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
