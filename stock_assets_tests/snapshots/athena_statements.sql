-- sql/audit/bars_to_commit.sql (and 1 other form, SHA-256 35b35ed0ec4203cb)
SELECT
    s.symbol,
    s.trade_date,
    s.open_price,
    s.high_price,
    s.low_price,
    s.close_price,
    s.volume,
    t.unparsed_text,
    t.fetched_at,
    t.contradicting_rows,
    t.symbol IS NOT NULL AS has_typed_bar,
    -- NULL where a value is NULL.
    t.open_price <> s.open_price
        OR t.high_price <> s.high_price
        OR t.low_price <> s.low_price
        OR t.close_price <> s.close_price
        OR t.volume <> s.volume AS differs_from_typed_bar
FROM backend_staged.load_id__daily_prices__attempt AS s
LEFT JOIN (
    SELECT * FROM backend_staged.load_id__typed_prices__attempt AS b WHERE trade_date NOT IN (SELECT session FROM (SELECT CAST(NULL AS date) AS "session" WHERE FALSE) AS e)
) AS t ON t.symbol = s.symbol AND t.trade_date = s.trade_date
;

-- sql/audit/findings.sql (and 2 other forms, SHA-256 b79de24a3c5697c4)
SELECT audit, symbol, trade_date, detail, bad_rows
FROM (
    SELECT
        f.*,
        COUNT(*) OVER (PARTITION BY audit)                                            AS bad_rows,
        ROW_NUMBER() OVER (PARTITION BY audit ORDER BY trade_date, symbol, detail)      AS sample_row,
        ROW_NUMBER() OVER (PARTITION BY audit, trade_date ORDER BY symbol, detail)      AS session_row
    FROM (SELECT * FROM "audit/with_shared_relations.sql") AS f
) AS counted
WHERE sample_row <= 10
   OR session_row = 1
   OR (session_row <= 10 AND trade_date IN (SELECT session FROM (SELECT CAST(NULL AS date) AS "session" WHERE FALSE) AS e))
ORDER BY audit, sample_row
;

-- sql/audit/load/every_raw_row_accounted_for.sql (and 4 other forms, SHA-256 75e2cc5982b91a38)
WITH expected AS (
    SELECT p.symbol, r.trade_date, 'raw' AS kind
    FROM (SELECT * FROM "stage/raw_rows.sql") AS r
    JOIN (SELECT * FROM (VALUES (CAST(4 AS bigint), CAST('s3://stock-assets-tests/tests/backend/raw/daily_prices/ingest_date=day/timestamp/ORCL.csv' AS varchar), CAST('raw/daily_prices/ingest_date=day/timestamp/ORCL.csv' AS varchar), CAST('ORCL' AS varchar), CAST(TIMESTAMP '2012-03-01 22:00:00.000000' AS timestamp(6)), CAST(DATE '2012-03-01' AS date)), (3, 's3://stock-assets-tests/tests/backend/raw/daily_prices/ingest_date=day/timestamp/MSFT.csv', 'raw/daily_prices/ingest_date=day/timestamp/MSFT.csv', 'MSFT', TIMESTAMP '2012-03-01 22:00:00.000000', DATE '2012-03-01'), (2, 's3://stock-assets-tests/tests/backend/raw/daily_prices/ingest_date=day/timestamp/IBM.csv', 'raw/daily_prices/ingest_date=day/timestamp/IBM.csv', 'IBM', TIMESTAMP '2012-03-01 22:00:00.000000', DATE '2012-03-01'), (1, 's3://stock-assets-tests/tests/backend/raw/daily_prices/ingest_date=day/timestamp/CSCO.csv', 'raw/daily_prices/ingest_date=day/timestamp/CSCO.csv', 'CSCO', TIMESTAMP '2012-03-01 22:00:00.000000', DATE '2012-03-01'), (0, 's3://stock-assets-tests/tests/backend/raw/daily_prices/ingest_date=day/timestamp/AAPL.csv', 'raw/daily_prices/ingest_date=day/timestamp/AAPL.csv', 'AAPL', TIMESTAMP '2012-03-01 22:00:00.000000', DATE '2012-03-01')) AS v ("number", "path", "response_key", "symbol", "fetched_at", "requested_on")) AS p ON p.path = r."$path"
    JOIN (SELECT CAST("session" AS date) AS "session", CAST("closes_at" AS timestamp(6)) AS "closes_at" FROM backend_staged.input_token_sessions_0) AS c ON c.session = r.trade_date
    WHERE r.trade_date BETWEEN DATE '2011-06-01' AND DATE '2012-03-01'
      AND r.trade_date <= p.requested_on
    UNION ALL
    SELECT symbol, trade_date, 'typed' AS kind
    FROM backend_staged.load_id__typed_prices__attempt AS t
    WHERE trade_date NOT IN (SELECT session FROM (SELECT CAST("session" AS date) AS "session", CAST("closes_at" AS timestamp(6)) AS "closes_at" FROM backend_staged.input_token_sessions_0) AS c)
)
SELECT r.symbol, r.trade_date, r.kind || ' row of ' || DATE_FORMAT(r.trade_date, '%Y-%m-%d') AS detail
FROM expected AS r
LEFT JOIN (
    SELECT symbol, trade_date FROM backend_staged.load_id__daily_prices__attempt AS s
    UNION ALL
    SELECT symbol, trade_date FROM backend_staged.load_id__quarantined_prices__attempt AS q
    UNION ALL
    SELECT symbol, trade_date FROM backend_staged.load_id__typed_prices__attempt AS t
    WHERE trade_date IN (SELECT session FROM (SELECT CAST(NULL AS date) AS "session" WHERE FALSE) AS e)
) AS a ON a.symbol = r.symbol AND a.trade_date = r.trade_date
WHERE a.symbol IS NULL
;

-- sql/audit/load/every_staged_bar_has_an_origin.sql (and 4 other forms, SHA-256 8176e1a5076d5dc9)
SELECT
    b.symbol,
    b.trade_date,
    CAST(CASE WHEN b.has_typed_bar OR o.symbol IS NOT NULL
              THEN 'open, high, low, close or volume differs from the raw response or the published row'
              ELSE 'neither in a raw response nor published'
         END AS VARCHAR) AS detail
FROM bars_to_commit AS b
LEFT JOIN (
    SELECT symbol, trade_date, open_price, high_price, low_price, close_price, volume FROM (SELECT CAST(NULL AS varchar) AS symbol, CAST(NULL AS date) AS trade_date, CAST(NULL AS double) AS open_price, CAST(NULL AS double) AS high_price, CAST(NULL AS double) AS low_price, CAST(NULL AS double) AS close_price, CAST(NULL AS bigint) AS volume, CAST(NULL AS double) AS daily_return, CAST(NULL AS double) AS avg_price, CAST(NULL AS double) AS volatility, CAST(NULL AS double) AS prev_close, CAST(NULL AS double) AS price_change_pct, CAST(NULL AS double) AS rolling_avg_5d, CAST(NULL AS double) AS volume_surge_ratio, CAST(NULL AS varchar) AS candle_type, CAST(NULL AS boolean) AS is_market_up, CAST(NULL AS double) AS split_factor WHERE FALSE) AS p
    WHERE trade_date BETWEEN DATE '2011-06-01' AND DATE '2012-03-22'
      AND (NOT trade_date BETWEEN DATE '2011-06-01' AND DATE '2012-03-01'
           OR trade_date IN (SELECT session FROM (SELECT CAST(NULL AS date) AS "session" WHERE FALSE) AS e))
) AS o ON o.symbol = b.symbol AND o.trade_date = b.trade_date
WHERE (NOT b.has_typed_bar AND o.symbol IS NULL)
   OR b.differs_from_typed_bar
   OR o.open_price <> b.open_price
   OR o.high_price <> b.high_price
   OR o.low_price <> b.low_price
   OR o.close_price <> b.close_price
   OR o.volume <> b.volume
;

-- sql/audit/load/every_typed_bar_is_in_its_response.sql (and 1 other form, SHA-256 4676df598334ba0a)
SELECT t.symbol, t.trade_date, 'no row of its raw response has these values' AS detail
FROM backend_staged.load_id__typed_prices__attempt AS t
LEFT JOIN (
    SELECT p.symbol, p.response_key, r.trade_date, r.open_price, r.high_price, r.low_price, r.close_price, r.volume
    FROM (SELECT * FROM "stage/raw_rows.sql") AS r
    JOIN (SELECT * FROM (VALUES (CAST(4 AS bigint), CAST('s3://stock-assets-tests/tests/backend/raw/daily_prices/ingest_date=day/timestamp/ORCL.csv' AS varchar), CAST('raw/daily_prices/ingest_date=day/timestamp/ORCL.csv' AS varchar), CAST('ORCL' AS varchar), CAST(TIMESTAMP '2012-03-01 22:00:00.000000' AS timestamp(6)), CAST(DATE '2012-03-01' AS date)), (3, 's3://stock-assets-tests/tests/backend/raw/daily_prices/ingest_date=day/timestamp/MSFT.csv', 'raw/daily_prices/ingest_date=day/timestamp/MSFT.csv', 'MSFT', TIMESTAMP '2012-03-01 22:00:00.000000', DATE '2012-03-01'), (2, 's3://stock-assets-tests/tests/backend/raw/daily_prices/ingest_date=day/timestamp/IBM.csv', 'raw/daily_prices/ingest_date=day/timestamp/IBM.csv', 'IBM', TIMESTAMP '2012-03-01 22:00:00.000000', DATE '2012-03-01'), (1, 's3://stock-assets-tests/tests/backend/raw/daily_prices/ingest_date=day/timestamp/CSCO.csv', 'raw/daily_prices/ingest_date=day/timestamp/CSCO.csv', 'CSCO', TIMESTAMP '2012-03-01 22:00:00.000000', DATE '2012-03-01'), (0, 's3://stock-assets-tests/tests/backend/raw/daily_prices/ingest_date=day/timestamp/AAPL.csv', 'raw/daily_prices/ingest_date=day/timestamp/AAPL.csv', 'AAPL', TIMESTAMP '2012-03-01 22:00:00.000000', DATE '2012-03-01')) AS v ("number", "path", "response_key", "symbol", "fetched_at", "requested_on")) AS p ON p.path = r."$path"
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
;

-- sql/audit/load/no_published_row_lost.sql (and 4 other forms, SHA-256 ca7f419bf2779304)
SELECT p.symbol, p.trade_date, 'published, but not in this load' AS detail
FROM (SELECT CAST(NULL AS varchar) AS symbol, CAST(NULL AS date) AS trade_date, CAST(NULL AS double) AS open_price, CAST(NULL AS double) AS high_price, CAST(NULL AS double) AS low_price, CAST(NULL AS double) AS close_price, CAST(NULL AS bigint) AS volume, CAST(NULL AS double) AS daily_return, CAST(NULL AS double) AS avg_price, CAST(NULL AS double) AS volatility, CAST(NULL AS double) AS prev_close, CAST(NULL AS double) AS price_change_pct, CAST(NULL AS double) AS rolling_avg_5d, CAST(NULL AS double) AS volume_surge_ratio, CAST(NULL AS varchar) AS candle_type, CAST(NULL AS boolean) AS is_market_up, CAST(NULL AS double) AS split_factor WHERE FALSE) AS p
JOIN (SELECT CAST("session" AS date) AS "session", CAST("closes_at" AS timestamp(6)) AS "closes_at" FROM backend_staged.input_token_sessions_0) AS c ON c.session = p.trade_date
LEFT JOIN backend_staged.load_id__daily_prices__attempt AS s
    ON  s.symbol = p.symbol AND s.trade_date = p.trade_date
LEFT JOIN backend_staged.load_id__quarantined_prices__attempt AS q
    ON  q.symbol = p.symbol AND q.trade_date = p.trade_date
LEFT JOIN (SELECT CAST(NULL AS varchar) AS "symbol" WHERE FALSE) AS g ON g.symbol = p.symbol
WHERE p.trade_date BETWEEN DATE '2011-06-01' AND DATE '2012-03-22'
  AND s.symbol IS NULL
  AND g.symbol IS NULL
  AND q.symbol IS NULL
;

-- sql/audit/load/one_row_per_symbol_and_session.sql
SELECT symbol, trade_date, CAST(CAST(COUNT(*) + 1 AS DECIMAL(18, 0)) AS VARCHAR) || ' rows' AS detail
FROM recent_bars AS b
WHERE previous_date = trade_date
GROUP BY symbol, trade_date
;

-- sql/audit/named.sql (and 37 other forms, SHA-256 02d4a3f1e80e6b89)
SELECT CAST('high_not_below_body' AS VARCHAR) AS audit, symbol, trade_date, CAST(detail AS VARCHAR) AS detail
FROM (SELECT * FROM "audit/row/high_not_below_body.sql") AS b
;

-- sql/audit/quarantined.sql
SELECT CAST('quarantined ' || audit AS VARCHAR) AS audit, symbol, trade_date, detail
FROM backend_staged.load_id__quarantined_prices__attempt AS q
;

-- sql/audit/quarantined_bars.sql
SELECT symbol, trade_date, audit, detail
FROM backend_staged.load_id__quarantined_prices__attempt AS q
WHERE trade_date BETWEEN DATE '2012-03-07' AND DATE '2012-03-07'
;

-- sql/audit/row/high_not_below_body.sql (and 1 other form, SHA-256 157ae0cc04be19d2)
SELECT
    symbol,
    trade_date,
    'high ' || CAST(CAST(ROUND(high_price, 4) AS DECIMAL(18, 4)) AS VARCHAR)
        || ' < open ' || CAST(CAST(ROUND(open_price, 4) AS DECIMAL(18, 4)) AS VARCHAR)
        || ' or close ' || CAST(CAST(ROUND(close_price, 4) AS DECIMAL(18, 4)) AS VARCHAR) AS detail
FROM backend_staged.load_id__typed_prices__attempt AS b
WHERE high_price < GREATEST(open_price, close_price)
;

-- sql/audit/row/low_not_above_body.sql (and 1 other form, SHA-256 985b347a7fd63025)
SELECT
    symbol,
    trade_date,
    'low ' || CAST(CAST(ROUND(low_price, 4) AS DECIMAL(18, 4)) AS VARCHAR)
        || ' > open ' || CAST(CAST(ROUND(open_price, 4) AS DECIMAL(18, 4)) AS VARCHAR)
        || ' or close ' || CAST(CAST(ROUND(close_price, 4) AS DECIMAL(18, 4)) AS VARCHAR) AS detail
FROM backend_staged.load_id__typed_prices__attempt AS b
WHERE low_price > LEAST(open_price, close_price)
;

-- sql/audit/row/ohlcv_complete.sql (and 1 other form, SHA-256 07e0fc296611b6c6)
SELECT
    symbol,
    trade_date,
    CONCAT_WS(', ',
        CASE WHEN open_price IS NULL THEN 'open' END,
        CASE WHEN high_price IS NULL THEN 'high' END,
        CASE WHEN low_price IS NULL THEN 'low' END,
        CASE WHEN close_price IS NULL THEN 'close' END,
        CASE WHEN volume IS NULL THEN 'volume' END
    ) || ' missing' AS detail
FROM backend_staged.load_id__typed_prices__attempt AS b
WHERE unparsed_text IS NULL
  AND contradicting_rows IS NULL
  AND (open_price IS NULL OR high_price IS NULL OR low_price IS NULL OR close_price IS NULL OR volume IS NULL)
;

-- sql/audit/row/only_trading_sessions.sql (and 7 other forms, SHA-256 ff778cc8cf13794e)
SELECT b.symbol, b.trade_date, 'the exchange was closed' AS detail
FROM backend_staged.load_id__typed_prices__attempt AS b
JOIN (SELECT * FROM (VALUES (CAST(DATE '2011-06-04' AS date), CAST(DATE '2011-06-03' AS date), CAST(DATE '2011-06-06' AS date)), (DATE '2011-06-05', DATE '2011-06-03', DATE '2011-06-06'), (DATE '2011-06-11', DATE '2011-06-10', DATE '2011-06-13'), (DATE '2011-06-12', DATE '2011-06-10', DATE '2011-06-13'), (DATE '2011-06-18', DATE '2011-06-17', DATE '2011-06-20'), (DATE '2011-06-19', DATE '2011-06-17', DATE '2011-06-20'), (DATE '2011-06-25', DATE '2011-06-24', DATE '2011-06-27'), (DATE '2011-06-26', DATE '2011-06-24', DATE '2011-06-27'), (DATE '2011-07-02', DATE '2011-07-01', DATE '2011-07-05'), (DATE '2011-07-03', DATE '2011-07-01', DATE '2011-07-05'), (DATE '2011-07-04', DATE '2011-07-01', DATE '2011-07-05'), (DATE '2011-07-09', DATE '2011-07-08', DATE '2011-07-11'), (DATE '2011-07-10', DATE '2011-07-08', DATE '2011-07-11'), (DATE '2011-07-16', DATE '2011-07-15', DATE '2011-07-18'), (DATE '2011-07-17', DATE '2011-07-15', DATE '2011-07-18'), (DATE '2011-07-23', DATE '2011-07-22', DATE '2011-07-25'), (DATE '2011-07-24', DATE '2011-07-22', DATE '2011-07-25'), (DATE '2011-07-30', DATE '2011-07-29', DATE '2011-08-01'), (DATE '2011-07-31', DATE '2011-07-29', DATE '2011-08-01'), (DATE '2011-08-06', DATE '2011-08-05', DATE '2011-08-08'), (DATE '2011-08-07', DATE '2011-08-05', DATE '2011-08-08'), (DATE '2011-08-13', DATE '2011-08-12', DATE '2011-08-15'), (DATE '2011-08-14', DATE '2011-08-12', DATE '2011-08-15'), (DATE '2011-08-20', DATE '2011-08-19', DATE '2011-08-22'), (DATE '2011-08-21', DATE '2011-08-19', DATE '2011-08-22'), (DATE '2011-08-27', DATE '2011-08-26', DATE '2011-08-29'), (DATE '2011-08-28', DATE '2011-08-26', DATE '2011-08-29'), (DATE '2011-09-03', DATE '2011-09-02', DATE '2011-09-06'), (DATE '2011-09-04', DATE '2011-09-02', DATE '2011-09-06'), (DATE '2011-09-05', DATE '2011-09-02', DATE '2011-09-06'), (DATE '2011-09-10', DATE '2011-09-09', DATE '2011-09-12'), (DATE '2011-09-11', DATE '2011-09-09', DATE '2011-09-12'), (DATE '2011-09-17', DATE '2011-09-16', DATE '2011-09-19'), (DATE '2011-09-18', DATE '2011-09-16', DATE '2011-09-19'), (DATE '2011-09-24', DATE '2011-09-23', DATE '2011-09-26'), (DATE '2011-09-25', DATE '2011-09-23', DATE '2011-09-26'), (DATE '2011-10-01', DATE '2011-09-30', DATE '2011-10-03'), (DATE '2011-10-02', DATE '2011-09-30', DATE '2011-10-03'), (DATE '2011-10-08', DATE '2011-10-07', DATE '2011-10-10'), (DATE '2011-10-09', DATE '2011-10-07', DATE '2011-10-10'), (DATE '2011-10-15', DATE '2011-10-14', DATE '2011-10-17'), (DATE '2011-10-16', DATE '2011-10-14', DATE '2011-10-17'), (DATE '2011-10-22', DATE '2011-10-21', DATE '2011-10-24'), (DATE '2011-10-23', DATE '2011-10-21', DATE '2011-10-24'), (DATE '2011-10-29', DATE '2011-10-28', DATE '2011-10-31'), (DATE '2011-10-30', DATE '2011-10-28', DATE '2011-10-31'), (DATE '2011-11-05', DATE '2011-11-04', DATE '2011-11-07'), (DATE '2011-11-06', DATE '2011-11-04', DATE '2011-11-07'), (DATE '2011-11-12', DATE '2011-11-11', DATE '2011-11-14'), (DATE '2011-11-13', DATE '2011-11-11', DATE '2011-11-14'), (DATE '2011-11-19', DATE '2011-11-18', DATE '2011-11-21'), (DATE '2011-11-20', DATE '2011-11-18', DATE '2011-11-21'), (DATE '2011-11-24', DATE '2011-11-23', DATE '2011-11-25'), (DATE '2011-11-26', DATE '2011-11-25', DATE '2011-11-28'), (DATE '2011-11-27', DATE '2011-11-25', DATE '2011-11-28'), (DATE '2011-12-03', DATE '2011-12-02', DATE '2011-12-05'), (DATE '2011-12-04', DATE '2011-12-02', DATE '2011-12-05'), (DATE '2011-12-10', DATE '2011-12-09', DATE '2011-12-12'), (DATE '2011-12-11', DATE '2011-12-09', DATE '2011-12-12'), (DATE '2011-12-17', DATE '2011-12-16', DATE '2011-12-19'), (DATE '2011-12-18', DATE '2011-12-16', DATE '2011-12-19'), (DATE '2011-12-24', DATE '2011-12-23', DATE '2011-12-27'), (DATE '2011-12-25', DATE '2011-12-23', DATE '2011-12-27'), (DATE '2011-12-26', DATE '2011-12-23', DATE '2011-12-27'), (DATE '2011-12-31', DATE '2011-12-30', DATE '2012-01-03'), (DATE '2012-01-01', DATE '2011-12-30', DATE '2012-01-03'), (DATE '2012-01-02', DATE '2011-12-30', DATE '2012-01-03'), (DATE '2012-01-07', DATE '2012-01-06', DATE '2012-01-09'), (DATE '2012-01-08', DATE '2012-01-06', DATE '2012-01-09'), (DATE '2012-01-14', DATE '2012-01-13', DATE '2012-01-17'), (DATE '2012-01-15', DATE '2012-01-13', DATE '2012-01-17'), (DATE '2012-01-16', DATE '2012-01-13', DATE '2012-01-17'), (DATE '2012-01-21', DATE '2012-01-20', DATE '2012-01-23'), (DATE '2012-01-22', DATE '2012-01-20', DATE '2012-01-23'), (DATE '2012-01-28', DATE '2012-01-27', DATE '2012-01-30'), (DATE '2012-01-29', DATE '2012-01-27', DATE '2012-01-30'), (DATE '2012-02-04', DATE '2012-02-03', DATE '2012-02-06'), (DATE '2012-02-05', DATE '2012-02-03', DATE '2012-02-06'), (DATE '2012-02-11', DATE '2012-02-10', DATE '2012-02-13'), (DATE '2012-02-12', DATE '2012-02-10', DATE '2012-02-13'), (DATE '2012-02-18', DATE '2012-02-17', DATE '2012-02-21'), (DATE '2012-02-19', DATE '2012-02-17', DATE '2012-02-21'), (DATE '2012-02-20', DATE '2012-02-17', DATE '2012-02-21'), (DATE '2012-02-25', DATE '2012-02-24', DATE '2012-02-27'), (DATE '2012-02-26', DATE '2012-02-24', DATE '2012-02-27')) AS v ("day", "session_before", "session_after")) AS c ON c.day = b.trade_date
WHERE b.fetched_at IS NOT NULL
;

-- sql/audit/row/prices_positive.sql (and 1 other form, SHA-256 84dc6c56a60fe8e5)
SELECT
    symbol,
    trade_date,
    'lowest price '
        || CAST(CAST(ROUND(LEAST(open_price, high_price, low_price, close_price), 4) AS DECIMAL(18, 4)) AS VARCHAR)
        AS detail
FROM backend_staged.load_id__typed_prices__attempt AS b
WHERE LEAST(open_price, high_price, low_price, close_price) <= 0E0
;

-- sql/audit/row/rows_of_one_bar_agree.sql (and 1 other form, SHA-256 a8dde5369d779888)
SELECT symbol, trade_date, 'contradicting rows: ' || contradicting_rows AS detail
FROM backend_staged.load_id__typed_prices__attempt AS b
WHERE contradicting_rows IS NOT NULL
;

-- sql/audit/row/session_closed_at_fetch.sql (and 10 other forms, SHA-256 96a01460bb200226)
SELECT
    b.symbol,
    b.trade_date,
    'fetched at ' || DATE_FORMAT(b.fetched_at, '%Y-%m-%d %H:%i:%s')
        || ', closed at ' || DATE_FORMAT(s.closes_at, '%Y-%m-%d %H:%i:%s') AS detail
FROM backend_staged.load_id__typed_prices__attempt AS b
JOIN (SELECT CAST("session" AS date) AS "session", CAST("closes_at" AS timestamp(6)) AS "closes_at" FROM backend_staged.input_token_sessions_0) AS s ON s.session = b.trade_date
WHERE b.fetched_at < s.closes_at
;

-- sql/audit/row/symbol_was_listed.sql (and 1 other form, SHA-256 e0d4c2e948c4f8bb)
SELECT
    b.symbol,
    b.trade_date,
    'listed ' || ARRAY_JOIN(ARRAY_AGG(l.period ORDER BY l.first_session), ', ') AS detail
FROM (
    SELECT a.symbol, a.trade_date
    FROM backend_staged.load_id__typed_prices__attempt AS a
    LEFT JOIN (SELECT * FROM (VALUES (CAST('AAPL' AS varchar), CAST(DATE '0001-01-01' AS date), CAST(NULL AS date)), ('CSCO', DATE '0001-01-01', NULL), ('IBM', DATE '0001-01-01', NULL), ('MSFT', DATE '0001-01-01', NULL), ('ORCL', DATE '0001-01-01', NULL)) AS v ("symbol", "first_session", "last_session")) AS c
        ON  c.symbol = a.symbol
        AND c.first_session <= a.trade_date
        AND (c.last_session IS NULL OR a.trade_date <= c.last_session)
    -- A published bar of another session keeps its row until a load covers its session.
    WHERE a.fetched_at IS NOT NULL
      AND c.symbol IS NULL
) AS b
JOIN (
    SELECT
        symbol,
        first_session,
        CASE WHEN first_session > DATE '0001-01-01'
             THEN 'from ' || DATE_FORMAT(first_session, '%Y-%m-%d') || ' ' ELSE '' END
            || CASE WHEN last_session IS NULL THEN 'until today'
                    ELSE 'until ' || DATE_FORMAT(last_session, '%Y-%m-%d') END AS period
    FROM (SELECT * FROM (VALUES (CAST('AAPL' AS varchar), CAST(DATE '0001-01-01' AS date), CAST(NULL AS date)), ('CSCO', DATE '0001-01-01', NULL), ('IBM', DATE '0001-01-01', NULL), ('MSFT', DATE '0001-01-01', NULL), ('ORCL', DATE '0001-01-01', NULL)) AS v ("symbol", "first_session", "last_session")) AS p
) AS l ON l.symbol = b.symbol
GROUP BY b.symbol, b.trade_date
;

-- sql/audit/row/symbol_well_formed.sql (and 1 other form, SHA-256 ac669810ae433087)
SELECT symbol, trade_date, 'symbol ' || symbol AS detail
FROM backend_staged.load_id__typed_prices__attempt AS b
WHERE NOT REGEXP_LIKE(symbol, '^[A-Z][A-Z0-9.-]{0,9}$')
;

-- sql/audit/row/text_is_numeric.sql (and 1 other form, SHA-256 56dbb90579a53895)
SELECT
    symbol,
    trade_date,
    unparsed_text || CASE WHEN REGEXP_LIKE(unparsed_text, 'volume=-?[0-9]+([.][0-9]+)?[eE][+]?[0-9]+$')
                          THEN ' (the digits do not determine the integer)' ELSE '' END AS detail
FROM backend_staged.load_id__typed_prices__attempt AS b
WHERE unparsed_text IS NOT NULL
;

-- sql/audit/row/volume_not_negative.sql (and 1 other form, SHA-256 062e9089ac3958fb)
SELECT symbol, trade_date, 'volume ' || CAST(volume AS VARCHAR) AS detail
FROM backend_staged.load_id__typed_prices__attempt AS b
WHERE volume < 0
;

-- sql/audit/schema/columns_as_declared.sql (and 1 other form, SHA-256 b7dfb6c83eee4998)
SELECT
    CAST(NULL AS VARCHAR) AS symbol,
    CAST(NULL AS DATE) AS trade_date,
    COALESCE(d.table_name, a.table_name) || '.' || COALESCE(d.column_name, a.column_name)
        || ': declared ' || COALESCE(d.data_type, 'nothing')
        || ', found ' || COALESCE(LOWER(a.data_type), 'nothing') AS detail
FROM (SELECT * FROM (VALUES (CAST('typed_prices' AS varchar), CAST('symbol' AS varchar), CAST('varchar' AS varchar)), ('typed_prices', 'trade_date', 'date'), ('typed_prices', 'open_price', 'double'), ('typed_prices', 'high_price', 'double'), ('typed_prices', 'low_price', 'double'), ('typed_prices', 'close_price', 'double'), ('typed_prices', 'volume', 'bigint'), ('typed_prices', 'unparsed_text', 'varchar'), ('typed_prices', 'fetched_at', 'timestamp'), ('typed_prices', 'payload', 'varchar'), ('typed_prices', 'contradicting_rows', 'varchar'), ('quarantined_prices', 'symbol', 'varchar'), ('quarantined_prices', 'trade_date', 'date'), ('quarantined_prices', 'audit', 'varchar'), ('quarantined_prices', 'detail', 'varchar'), ('quarantined_prices', 'open_price', 'double'), ('quarantined_prices', 'high_price', 'double'), ('quarantined_prices', 'low_price', 'double'), ('quarantined_prices', 'close_price', 'double'), ('quarantined_prices', 'volume', 'bigint'), ('quarantined_prices', 'unparsed_text', 'varchar'), ('quarantined_prices', 'fetched_at', 'timestamp'), ('quarantined_prices', 'payload', 'varchar'), ('quarantined_prices', 'load_id', 'varchar'), ('quarantined_prices', 'contradicting_rows', 'varchar'), ('daily_prices', 'symbol', 'varchar'), ('daily_prices', 'trade_date', 'date'), ('daily_prices', 'open_price', 'double'), ('daily_prices', 'high_price', 'double'), ('daily_prices', 'low_price', 'double'), ('daily_prices', 'close_price', 'double'), ('daily_prices', 'volume', 'bigint'), ('daily_prices', 'daily_return', 'double'), ('daily_prices', 'avg_price', 'double'), ('daily_prices', 'volatility', 'double'), ('daily_prices', 'prev_close', 'double'), ('daily_prices', 'price_change_pct', 'double'), ('daily_prices', 'rolling_avg_5d', 'double'), ('daily_prices', 'volume_surge_ratio', 'double'), ('daily_prices', 'candle_type', 'varchar'), ('daily_prices', 'is_market_up', 'boolean'), ('daily_prices', 'split_factor', 'double')) AS v ("table_name", "column_name", "data_type")) AS d
FULL OUTER JOIN (SELECT * FROM (VALUES (CAST('daily_prices' AS varchar), CAST('symbol' AS varchar), CAST('varchar' AS varchar)), ('daily_prices', 'trade_date', 'date'), ('daily_prices', 'open_price', 'double'), ('daily_prices', 'high_price', 'double'), ('daily_prices', 'low_price', 'double'), ('daily_prices', 'close_price', 'double'), ('daily_prices', 'volume', 'bigint'), ('daily_prices', 'daily_return', 'double'), ('daily_prices', 'avg_price', 'double'), ('daily_prices', 'volatility', 'double'), ('daily_prices', 'prev_close', 'double'), ('daily_prices', 'price_change_pct', 'double'), ('daily_prices', 'rolling_avg_5d', 'double'), ('daily_prices', 'volume_surge_ratio', 'double'), ('daily_prices', 'candle_type', 'varchar'), ('daily_prices', 'is_market_up', 'boolean'), ('daily_prices', 'split_factor', 'double'), ('quarantined_prices', 'symbol', 'varchar'), ('quarantined_prices', 'trade_date', 'date'), ('quarantined_prices', 'audit', 'varchar'), ('quarantined_prices', 'detail', 'varchar'), ('quarantined_prices', 'open_price', 'double'), ('quarantined_prices', 'high_price', 'double'), ('quarantined_prices', 'low_price', 'double'), ('quarantined_prices', 'close_price', 'double'), ('quarantined_prices', 'volume', 'bigint'), ('quarantined_prices', 'unparsed_text', 'varchar'), ('quarantined_prices', 'fetched_at', 'timestamp'), ('quarantined_prices', 'payload', 'varchar'), ('quarantined_prices', 'load_id', 'varchar'), ('quarantined_prices', 'contradicting_rows', 'varchar'), ('typed_prices', 'symbol', 'varchar'), ('typed_prices', 'trade_date', 'date'), ('typed_prices', 'open_price', 'double'), ('typed_prices', 'high_price', 'double'), ('typed_prices', 'low_price', 'double'), ('typed_prices', 'close_price', 'double'), ('typed_prices', 'volume', 'bigint'), ('typed_prices', 'unparsed_text', 'varchar'), ('typed_prices', 'fetched_at', 'timestamp'), ('typed_prices', 'payload', 'varchar'), ('typed_prices', 'contradicting_rows', 'varchar')) AS v ("table_name", "column_name", "data_type")) AS a
    ON  a.table_name = d.table_name
    AND a.column_name = d.column_name
WHERE d.column_name IS NULL
   OR a.column_name IS NULL
   OR d.data_type <> LOWER(a.data_type)
;

-- sql/audit/session/minimum_coverage.sql (and 6 other forms, SHA-256 19e750032099b57a)
WITH listed AS (
    -- Symbols and sessions are counted before they are combined: most sessions are complete.
    SELECT c.session, CAST(SUM(p.symbols) AS BIGINT) AS listed
    FROM (SELECT CAST("session" AS date) AS "session", CAST("closes_at" AS timestamp(6)) AS "closes_at" FROM backend_staged.input_token_sessions_0) AS c
    JOIN (
        SELECT first_session, last_session, COUNT(*) AS symbols
        FROM (SELECT * FROM (VALUES (CAST('AAPL' AS varchar), CAST(DATE '0001-01-01' AS date), CAST(NULL AS date)), ('CSCO', DATE '0001-01-01', NULL), ('IBM', DATE '0001-01-01', NULL), ('MSFT', DATE '0001-01-01', NULL), ('ORCL', DATE '0001-01-01', NULL)) AS v ("symbol", "first_session", "last_session")) AS l
        GROUP BY first_session, last_session
    ) AS p
        ON  p.first_session <= c.session
        AND (p.last_session IS NULL OR c.session <= p.last_session)
    WHERE c.session BETWEEN DATE '2011-06-01' AND DATE '2012-03-01'
    GROUP BY c.session
),
present AS (
    SELECT t.trade_date AS session, COUNT(*) AS present
    FROM backend_staged.load_id__typed_prices__attempt AS t
    JOIN (SELECT * FROM (VALUES (CAST('AAPL' AS varchar), CAST(DATE '0001-01-01' AS date), CAST(NULL AS date)), ('CSCO', DATE '0001-01-01', NULL), ('IBM', DATE '0001-01-01', NULL), ('MSFT', DATE '0001-01-01', NULL), ('ORCL', DATE '0001-01-01', NULL)) AS v ("symbol", "first_session", "last_session")) AS l
        ON  l.symbol = t.symbol
        AND l.first_session <= t.trade_date
        AND (l.last_session IS NULL OR t.trade_date <= l.last_session)
    GROUP BY t.trade_date
),
thin AS (
    SELECT n.session, n.listed, COALESCE(p.present, 0) AS present
    FROM listed AS n
    LEFT JOIN present AS p ON p.session = n.session
    WHERE (n.session >= DATE '0001-01-01' OR p.present IS NOT NULL)
      AND CAST(COALESCE(p.present, 0) AS DOUBLE) / CAST(n.listed AS DOUBLE) < 0.5E0
)
SELECT
    CAST(NULL AS VARCHAR) AS symbol,
    session AS trade_date,
    CAST(CAST(present AS DECIMAL(18, 0)) AS VARCHAR) || ' of '
        || CAST(CAST(listed AS DECIMAL(18, 0)) AS VARCHAR) || ' symbols, fewer than '
        || CAST(CAST(ROUND(0.5E0 * 1E2) AS DECIMAL(18, 0)) AS VARCHAR) || '%; missing: '
        || ARRAY_JOIN(ARRAY_AGG(symbol ORDER BY symbol) FILTER (WHERE number <= 20), ', ')
        || CASE WHEN listed - present > 20
                THEN ' and ' || CAST(CAST(listed - present - 20 AS DECIMAL(18, 0)) AS VARCHAR) || ' more'
                ELSE '' END AS detail
FROM (
    SELECT
        n.session,
        l.symbol,
        n.listed,
        n.present,
        ROW_NUMBER() OVER (PARTITION BY n.session ORDER BY l.symbol) AS number
    FROM thin AS n
    JOIN (SELECT * FROM (VALUES (CAST('AAPL' AS varchar), CAST(DATE '0001-01-01' AS date), CAST(NULL AS date)), ('CSCO', DATE '0001-01-01', NULL), ('IBM', DATE '0001-01-01', NULL), ('MSFT', DATE '0001-01-01', NULL), ('ORCL', DATE '0001-01-01', NULL)) AS v ("symbol", "first_session", "last_session")) AS l
        ON  l.first_session <= n.session
        AND (l.last_session IS NULL OR n.session <= l.last_session)
    LEFT JOIN (
        SELECT symbol, trade_date FROM backend_staged.load_id__typed_prices__attempt AS b WHERE trade_date IN (SELECT session FROM thin)
    ) AS t ON t.symbol = l.symbol AND t.trade_date = n.session
    WHERE t.symbol IS NULL
) AS missing
GROUP BY session, listed, present
;

-- sql/audit/session/quarantined_share_within_limit.sql (and 6 other forms, SHA-256 3cd821ceab64a0a1)
SELECT
    CAST(NULL AS VARCHAR) AS symbol,
    t.trade_date,
    CAST(COUNT(q.symbol) AS VARCHAR) || ' of ' || CAST(COUNT(*) AS VARCHAR) || ' symbols quarantined, more than '
        || CAST(CAST(ROUND(0.25E0 * 1E2) AS DECIMAL(18, 0)) AS VARCHAR) || '%: '
        || ARRAY_JOIN(ARRAY_AGG(q.finding ORDER BY q.symbol) FILTER (WHERE q.number <= 10), '; ')
        || CASE WHEN COUNT(q.symbol) > 10
                THEN ' and ' || CAST(CAST(COUNT(q.symbol) - 10 AS DECIMAL(18, 0)) AS VARCHAR) || ' more'
                ELSE '' END AS detail
FROM backend_staged.load_id__typed_prices__attempt AS t
JOIN (SELECT CAST("session" AS date) AS "session", CAST("closes_at" AS timestamp(6)) AS "closes_at" FROM backend_staged.input_token_sessions_0) AS c ON c.session = t.trade_date
LEFT JOIN (
    SELECT
        symbol,
        trade_date,
        MIN(symbol || ' ' || audit || ': ' || detail || ', response ' || payload)  AS finding,
        ROW_NUMBER() OVER (PARTITION BY trade_date ORDER BY symbol)                AS number,
        MAX(CASE WHEN audit = 'symbol_was_listed' THEN 1 ELSE 0 END)               AS unlisted
    FROM backend_staged.load_id__quarantined_prices__attempt AS f
    GROUP BY symbol, trade_date
) AS q ON q.symbol = t.symbol AND q.trade_date = t.trade_date
WHERE t.trade_date BETWEEN DATE '2011-06-01' AND DATE '2012-03-01'
  -- Few sessions have two quarantined symbols; the rows of the others are not counted.
  AND t.trade_date IN (
      SELECT trade_date FROM backend_staged.load_id__quarantined_prices__attempt AS c GROUP BY trade_date HAVING COUNT(DISTINCT symbol) > 1
  )
  AND COALESCE(q.unlisted, 0) = 0
GROUP BY t.trade_date
HAVING COUNT(q.symbol) > 1
   AND CAST(COUNT(q.symbol) AS DOUBLE) / CAST(COUNT(*) AS DOUBLE) > 0.25E0
;

-- sql/audit/warning/every_listed_symbol_present.sql (and 4 other forms, SHA-256 43ad080c45469a5c)
SELECT l.symbol, c.session AS trade_date, 'no bar' AS detail
FROM (SELECT CAST("session" AS date) AS "session", CAST("closes_at" AS timestamp(6)) AS "closes_at" FROM backend_staged.input_token_sessions_0) AS c
JOIN (SELECT * FROM (VALUES (CAST('AAPL' AS varchar), CAST(DATE '0001-01-01' AS date), CAST(NULL AS date)), ('CSCO', DATE '0001-01-01', NULL), ('IBM', DATE '0001-01-01', NULL), ('MSFT', DATE '0001-01-01', NULL), ('ORCL', DATE '0001-01-01', NULL)) AS v ("symbol", "first_session", "last_session")) AS l
    ON  l.first_session <= c.session
    AND (l.last_session IS NULL OR c.session <= l.last_session)
LEFT JOIN backend_staged.load_id__typed_prices__attempt AS t
    ON  t.symbol = l.symbol AND t.trade_date = c.session
WHERE c.session BETWEEN DATE '2011-06-01' AND DATE '2012-03-01'
  AND t.symbol IS NULL
;

-- sql/audit/warning/every_raw_row_has_a_day.sql (and 1 other form, SHA-256 1b530953274d1d66)
SELECT
    symbol,
    trade_date,
    CASE WHEN trade_date > requested_on THEN 'dated after the request of ' || DATE_FORMAT(requested_on, '%Y-%m-%d')
         WHEN trade_date IS NULL THEN 'unreadable date'
         ELSE 'dated before ' || DATE_FORMAT(DATE '1999-01-01', '%Y-%m-%d') END
        || ', response ' || response_key || ': ' || date_text || ',' || bar_text AS detail
FROM (
    SELECT p.symbol, p.response_key, p.requested_on, r.trade_date, r.date_text, r.bar_text
    FROM (
        SELECT *
        FROM (SELECT * FROM "stage/raw_rows.sql") AS a
        -- Few rows are later than the oldest response: only these are joined.
        WHERE NOT COALESCE(
            trade_date BETWEEN DATE '1999-01-01' AND (SELECT MIN(requested_on) FROM (SELECT * FROM (VALUES (CAST(4 AS bigint), CAST('s3://stock-assets-tests/tests/backend/raw/daily_prices/ingest_date=day/timestamp/ORCL.csv' AS varchar), CAST('raw/daily_prices/ingest_date=day/timestamp/ORCL.csv' AS varchar), CAST('ORCL' AS varchar), CAST(TIMESTAMP '2012-03-01 22:00:00.000000' AS timestamp(6)), CAST(DATE '2012-03-01' AS date)), (3, 's3://stock-assets-tests/tests/backend/raw/daily_prices/ingest_date=day/timestamp/MSFT.csv', 'raw/daily_prices/ingest_date=day/timestamp/MSFT.csv', 'MSFT', TIMESTAMP '2012-03-01 22:00:00.000000', DATE '2012-03-01'), (2, 's3://stock-assets-tests/tests/backend/raw/daily_prices/ingest_date=day/timestamp/IBM.csv', 'raw/daily_prices/ingest_date=day/timestamp/IBM.csv', 'IBM', TIMESTAMP '2012-03-01 22:00:00.000000', DATE '2012-03-01'), (1, 's3://stock-assets-tests/tests/backend/raw/daily_prices/ingest_date=day/timestamp/CSCO.csv', 'raw/daily_prices/ingest_date=day/timestamp/CSCO.csv', 'CSCO', TIMESTAMP '2012-03-01 22:00:00.000000', DATE '2012-03-01'), (0, 's3://stock-assets-tests/tests/backend/raw/daily_prices/ingest_date=day/timestamp/AAPL.csv', 'raw/daily_prices/ingest_date=day/timestamp/AAPL.csv', 'AAPL', TIMESTAMP '2012-03-01 22:00:00.000000', DATE '2012-03-01')) AS v ("number", "path", "response_key", "symbol", "fetched_at", "requested_on")) AS o), FALSE
        )
    ) AS r
    JOIN (SELECT * FROM (VALUES (CAST(4 AS bigint), CAST('s3://stock-assets-tests/tests/backend/raw/daily_prices/ingest_date=day/timestamp/ORCL.csv' AS varchar), CAST('raw/daily_prices/ingest_date=day/timestamp/ORCL.csv' AS varchar), CAST('ORCL' AS varchar), CAST(TIMESTAMP '2012-03-01 22:00:00.000000' AS timestamp(6)), CAST(DATE '2012-03-01' AS date)), (3, 's3://stock-assets-tests/tests/backend/raw/daily_prices/ingest_date=day/timestamp/MSFT.csv', 'raw/daily_prices/ingest_date=day/timestamp/MSFT.csv', 'MSFT', TIMESTAMP '2012-03-01 22:00:00.000000', DATE '2012-03-01'), (2, 's3://stock-assets-tests/tests/backend/raw/daily_prices/ingest_date=day/timestamp/IBM.csv', 'raw/daily_prices/ingest_date=day/timestamp/IBM.csv', 'IBM', TIMESTAMP '2012-03-01 22:00:00.000000', DATE '2012-03-01'), (1, 's3://stock-assets-tests/tests/backend/raw/daily_prices/ingest_date=day/timestamp/CSCO.csv', 'raw/daily_prices/ingest_date=day/timestamp/CSCO.csv', 'CSCO', TIMESTAMP '2012-03-01 22:00:00.000000', DATE '2012-03-01'), (0, 's3://stock-assets-tests/tests/backend/raw/daily_prices/ingest_date=day/timestamp/AAPL.csv', 'raw/daily_prices/ingest_date=day/timestamp/AAPL.csv', 'AAPL', TIMESTAMP '2012-03-01 22:00:00.000000', DATE '2012-03-01')) AS v ("number", "path", "response_key", "symbol", "fetched_at", "requested_on")) AS p ON p.path = r."$path"
) AS raw_rows
WHERE NOT COALESCE(trade_date BETWEEN DATE '1999-01-01' AND requested_on, FALSE)
;

-- sql/audit/warning/every_session_has_bars.sql (and 4 other forms, SHA-256 388edb4eebccc55c)
SELECT
    CAST(NULL AS VARCHAR) AS symbol,
    c.session AS trade_date,
    'no bar of any symbol: possibly an unscheduled closure of the exchange' AS detail
FROM (SELECT CAST("session" AS date) AS "session", CAST("closes_at" AS timestamp(6)) AS "closes_at" FROM backend_staged.input_token_sessions_0) AS c
LEFT JOIN (SELECT DISTINCT trade_date FROM backend_staged.load_id__typed_prices__attempt AS b) AS t ON t.trade_date = c.session
WHERE c.session BETWEEN DATE '2011-06-01' AND DATE '2012-03-01'
  AND c.session >= DATE '0001-01-01'
  AND t.trade_date IS NULL
;

-- sql/audit/warning/no_adjusted_prices.sql (and 4 other forms, SHA-256 19e84ad0e6618018)
SELECT
    b.symbol,
    b.trade_date,
    'the step from ' || CAST(CAST(ROUND(adjusted_close, 4) AS DECIMAL(18, 4)) AS VARCHAR)
        || ' to ' || CAST(CAST(ROUND(open_price, 4) AS DECIMAL(18, 4)) AS VARCHAR)
        || ' equals the split ratio ' || CAST(CAST(ROUND(f.split_ratio, 4) AS DECIMAL(18, 4)) AS VARCHAR)
        || ' of ' || DATE_FORMAT(f.ex_date, '%Y-%m-%d') AS detail
FROM recent_bars AS b
JOIN (SELECT CAST(NULL AS varchar) AS "symbol", CAST(NULL AS date) AS "ex_date", CAST(NULL AS date) AS "next_ex_date", CAST(NULL AS double) AS "split_ratio", CAST(NULL AS double) AS "split_factor" WHERE FALSE) AS f
    ON  f.symbol = b.symbol
    AND NOT (f.ex_date > b.previous_date AND f.ex_date <= b.trade_date)
    AND (f.split_ratio >= 1.4E0 OR f.split_ratio <= 7E-1)
WHERE b.trade_date BETWEEN DATE '2011-06-01' AND DATE '2012-03-01'
  -- Follows from the next condition and is false for most rows.
  AND (open_price / adjusted_close >= 1.3E0 OR adjusted_close / open_price >= 1.3E0)
  AND (
       ABS(open_price / adjusted_close - f.split_ratio) <= 4E-2 * f.split_ratio
    OR ABS(adjusted_close / open_price - f.split_ratio) <= 4E-2 * f.split_ratio
  )
;

-- sql/audit/warning/no_hundredfold_step.sql (and 4 other forms, SHA-256 38d17eb43cc6e390)
SELECT
    symbol,
    trade_date,
    'prices ' || CAST(CAST(ROUND(low_price, 4) AS DECIMAL(18, 4)) AS VARCHAR)
        || ' to ' || CAST(CAST(ROUND(high_price, 4) AS DECIMAL(18, 4)) AS VARCHAR)
        || ' after a close of ' || CAST(CAST(ROUND(adjusted_close, 4) AS DECIMAL(18, 4)) AS VARCHAR) AS detail
FROM recent_bars AS b
WHERE trade_date BETWEEN DATE '2011-06-01' AND DATE '2012-03-01'
  AND (high_price / adjusted_close BETWEEN 8E1 AND 1.25E2 OR adjusted_close / low_price BETWEEN 8E1 AND 1.25E2)
;

-- sql/audit/warning/no_placeholder_bar.sql (and 4 other forms, SHA-256 269fb941bbc8a7fe)
SELECT
    symbol,
    trade_date,
    'open = high = low = close = ' || CAST(CAST(ROUND(close_price, 4) AS DECIMAL(18, 4)) AS VARCHAR) || ', volume 0'
        AS detail
FROM recent_bars AS b
WHERE trade_date BETWEEN DATE '2011-06-01' AND DATE '2012-03-01'
  AND volume = 0
  AND open_price = close_price
  AND high_price = low_price
  AND previous_volume > 0
  AND (next_volume IS NULL OR next_volume > 0)
;

-- sql/audit/warning/no_repeated_bar.sql (and 4 other forms, SHA-256 a4053b8dc4ec62e4)
SELECT
    symbol,
    trade_date,
    'same prices and volume as on ' || DATE_FORMAT(previous_date, '%Y-%m-%d') AS detail
FROM recent_bars AS b
WHERE trade_date BETWEEN DATE '2011-06-01' AND DATE '2012-03-01'
  AND volume > 0
  AND volume = previous_volume
  AND open_price = previous_open
  AND high_price = previous_high
  AND low_price = previous_low
  AND close_price = previous_close
;

-- sql/audit/warning/no_revised_prices.sql (and 4 other forms, SHA-256 1205f051c9900c1f)
SELECT
    s.symbol,
    s.trade_date,
    CONCAT_WS(', ',
        CASE WHEN s.open_price IS DISTINCT FROM p.open_price THEN
            'open ' || CAST(CAST(ROUND(p.open_price, 4) AS DECIMAL(18, 4)) AS VARCHAR)
                || ' -> ' || CAST(CAST(ROUND(s.open_price, 4) AS DECIMAL(18, 4)) AS VARCHAR) END,
        CASE WHEN s.high_price IS DISTINCT FROM p.high_price THEN
            'high ' || CAST(CAST(ROUND(p.high_price, 4) AS DECIMAL(18, 4)) AS VARCHAR)
                || ' -> ' || CAST(CAST(ROUND(s.high_price, 4) AS DECIMAL(18, 4)) AS VARCHAR) END,
        CASE WHEN s.low_price IS DISTINCT FROM p.low_price THEN
            'low ' || CAST(CAST(ROUND(p.low_price, 4) AS DECIMAL(18, 4)) AS VARCHAR)
                || ' -> ' || CAST(CAST(ROUND(s.low_price, 4) AS DECIMAL(18, 4)) AS VARCHAR) END,
        CASE WHEN s.close_price IS DISTINCT FROM p.close_price THEN
            'close ' || CAST(CAST(ROUND(p.close_price, 4) AS DECIMAL(18, 4)) AS VARCHAR)
                || ' -> ' || CAST(CAST(ROUND(s.close_price, 4) AS DECIMAL(18, 4)) AS VARCHAR) END,
        CASE WHEN s.volume IS DISTINCT FROM p.volume THEN
            'volume ' || CAST(p.volume AS VARCHAR) || ' -> ' || CAST(s.volume AS VARCHAR) END
    ) AS detail
FROM backend_staged.load_id__daily_prices__attempt AS s
JOIN (SELECT CAST(NULL AS varchar) AS symbol, CAST(NULL AS date) AS trade_date, CAST(NULL AS double) AS open_price, CAST(NULL AS double) AS high_price, CAST(NULL AS double) AS low_price, CAST(NULL AS double) AS close_price, CAST(NULL AS bigint) AS volume, CAST(NULL AS double) AS daily_return, CAST(NULL AS double) AS avg_price, CAST(NULL AS double) AS volatility, CAST(NULL AS double) AS prev_close, CAST(NULL AS double) AS price_change_pct, CAST(NULL AS double) AS rolling_avg_5d, CAST(NULL AS double) AS volume_surge_ratio, CAST(NULL AS varchar) AS candle_type, CAST(NULL AS boolean) AS is_market_up, CAST(NULL AS double) AS split_factor WHERE FALSE) AS p ON p.symbol = s.symbol AND p.trade_date = s.trade_date
WHERE s.trade_date BETWEEN DATE '2011-06-01' AND DATE '2012-03-01'
  AND p.trade_date BETWEEN DATE '2011-06-01' AND DATE '2012-03-01'
  AND (
       s.open_price IS DISTINCT FROM p.open_price
    OR s.high_price IS DISTINCT FROM p.high_price
    OR s.low_price IS DISTINCT FROM p.low_price
    OR s.close_price IS DISTINCT FROM p.close_price
    OR s.volume IS DISTINCT FROM p.volume
  )
;

-- sql/audit/warning/no_split_sized_jump.sql (and 4 other forms, SHA-256 a08eb17b7c3f003a)
SELECT
    symbol,
    trade_date,
    'open ' || CAST(CAST(ROUND(open_price, 4) AS DECIMAL(18, 4)) AS VARCHAR)
        || ' after a close of ' || CAST(CAST(ROUND(adjusted_close, 4) AS DECIMAL(18, 4)) AS VARCHAR)
        || ', like a split of ' || CASE WHEN open_price > adjusted_close THEN '1:' ELSE '' END
        || CAST(CAST(ROUND(split_size, 1) AS DECIMAL(18, 1)) AS VARCHAR)
        || CASE WHEN open_price > adjusted_close THEN '' ELSE ':1' END AS detail
FROM (
    SELECT sized.*, ROUND(step * 2E0) / 2E0 AS split_size
    FROM (
        SELECT b.*, GREATEST(open_price / adjusted_close, adjusted_close / open_price) AS step
        FROM recent_bars AS b
        WHERE adjusted_close > 0E0
    ) AS sized
) AS j
WHERE trade_date BETWEEN DATE '2011-06-01' AND DATE '2012-03-01'
  AND split_ratio = 1E0
  AND step >= 1.44E0
  AND step < 8E1
  AND ABS(step - split_size) <= 4E-2 * split_size
  AND ABS(close_price - open_price) <= 1E-1 * open_price
;

-- sql/audit/warning/no_unexplained_jump.sql (and 4 other forms, SHA-256 7bc80d2df65d7ea4)
SELECT
    symbol,
    trade_date,
    CAST(CAST(price_change_pct AS DECIMAL(38, 2)) AS VARCHAR) || '%' AS detail
FROM backend_staged.load_id__daily_prices__attempt AS s
WHERE ABS(price_change_pct) > 0.4E0 * 1E2
  AND trade_date BETWEEN DATE '2011-06-01' AND DATE '2012-03-01'
;

-- sql/audit/warning/no_volume_step.sql (and 4 other forms, SHA-256 93851e7dc741a445)
SELECT
    symbol,
    trade_date,
    'from two sessions before, volume ' || CAST(volume AS VARCHAR) || ' after '
        || CAST(CAST(ROUND(shares_3 * split_factor, 0) AS DECIMAL(18, 0)) AS VARCHAR) || ' and similar' AS detail
FROM recent_bars AS b
WHERE trade_date BETWEEN DATE '2011-06-01' AND DATE '2012-03-01'
  -- Follows from the next condition and is false for most rows.
  AND (shares_2 > 1E1 * shares_3 OR shares_2 * 1E1 < shares_3)
  AND (
       LEAST(shares, shares_1, shares_2) > 1E1 * GREATEST(shares_3, shares_4, shares_5, shares_6, shares_7)
    OR GREATEST(shares, shares_1, shares_2) * 1E1 < LEAST(shares_3, shares_4, shares_5, shares_6, shares_7)
  )
  AND LEAST(shares, shares_1, shares_2, shares_3, shares_4, shares_5, shares_6, shares_7) > 0E0
;

-- sql/audit/warning/split_ratios_not_rounded.sql (and 4 other forms, SHA-256 8c84c621f31c7aa2)
SELECT
    b.symbol,
    b.trade_date,
    'split ' || f.ratio_text || ' of ' || DATE_FORMAT(f.ex_date, '%Y-%m-%d') || ' is rounded; if it is exactly '
        || f.exact_text || ', a jump of ' || CAST(CAST(ROUND((f.split_ratio / f.exact_ratio - 1E0) * 1E2, 3)
            AS DECIMAL(18, 3)) AS VARCHAR)
        || '% remains: the true change is ' || CAST(CAST(ROUND(((b.close_price / b.adjusted_close)
            * (f.exact_ratio / f.split_ratio) - 1E0) * 1E2, 3) AS DECIMAL(18, 3)) AS VARCHAR)
        || '%, the computed one ' || CAST(CAST(ROUND((b.close_price / b.adjusted_close - 1E0) * 1E2, 3)
            AS DECIMAL(18, 3)) AS VARCHAR) || '%' AS detail
FROM recent_bars AS b
JOIN (SELECT CAST(NULL AS varchar) AS "symbol", CAST(NULL AS date) AS "ex_date", CAST(NULL AS double) AS "split_ratio", CAST(NULL AS varchar) AS "ratio_text", CAST(NULL AS double) AS "exact_ratio", CAST(NULL AS varchar) AS "exact_text" WHERE FALSE) AS f
    ON  f.symbol = b.symbol
    AND f.ex_date > b.previous_date
    AND f.ex_date <= b.trade_date
WHERE b.trade_date BETWEEN DATE '2011-06-01' AND DATE '2012-03-22'
  -- False for most rows.
  AND b.split_ratio <> 1E0
;

-- sql/audit/warning/splits_move_prices.sql (and 4 other forms, SHA-256 956c05cc5ea2c25e)
SELECT
    symbol,
    trade_date,
    'split ratio ' || CAST(CAST(ROUND(split_ratio, 4) AS DECIMAL(18, 4)) AS VARCHAR)
        || ', but open ' || CAST(CAST(ROUND(open_price, 4) AS DECIMAL(18, 4)) AS VARCHAR)
        || ' after a close of ' || CAST(CAST(ROUND(previous_close, 4) AS DECIMAL(18, 4)) AS VARCHAR) AS detail
FROM recent_bars AS b
WHERE trade_date BETWEEN DATE '2011-06-01' AND DATE '2012-03-01'
  -- The move is nearer to none than to the ratio.
  AND (
       (split_ratio >= 1.2E0 AND (previous_close / open_price) * (previous_close / open_price) < split_ratio)
    OR (split_ratio <= 8.4E-1 AND (previous_close / open_price) * (previous_close / open_price) > split_ratio)
  )
;

-- sql/audit/warning/symbols_still_trade.sql (and 4 other forms, SHA-256 f1d8670287c5fe2f)
WITH traded AS (
    SELECT symbol, trade_date
    FROM backend_staged.load_id__daily_prices__attempt AS s
    WHERE volume > 0 AND trade_date <= DATE '2012-03-01'
    UNION ALL
    SELECT symbol, trade_date
    FROM (SELECT CAST(NULL AS varchar) AS symbol, CAST(NULL AS date) AS trade_date, CAST(NULL AS double) AS open_price, CAST(NULL AS double) AS high_price, CAST(NULL AS double) AS low_price, CAST(NULL AS double) AS close_price, CAST(NULL AS bigint) AS volume, CAST(NULL AS double) AS daily_return, CAST(NULL AS double) AS avg_price, CAST(NULL AS double) AS volatility, CAST(NULL AS double) AS prev_close, CAST(NULL AS double) AS price_change_pct, CAST(NULL AS double) AS rolling_avg_5d, CAST(NULL AS double) AS volume_surge_ratio, CAST(NULL AS varchar) AS candle_type, CAST(NULL AS boolean) AS is_market_up, CAST(NULL AS double) AS split_factor WHERE FALSE) AS p
    WHERE volume > 0 AND trade_date <= DATE '2012-03-01'
      AND trade_date >= DATE '2011-05-11' AND trade_date < DATE '2011-06-01'
)
SELECT
    l.symbol,
    DATE '2012-03-01' AS trade_date,
    COALESCE('last traded on ' || DATE_FORMAT(t.last_traded, '%Y-%m-%d'), 'not traded since '
        || DATE_FORMAT(DATE '2011-05-11', '%Y-%m-%d')) || ', ' || CAST(COUNT(*) AS VARCHAR) || ' sessions before'
        AS detail
FROM (SELECT * FROM (VALUES (CAST('AAPL' AS varchar), CAST(DATE '0001-01-01' AS date), CAST(NULL AS date)), ('CSCO', DATE '0001-01-01', NULL), ('IBM', DATE '0001-01-01', NULL), ('MSFT', DATE '0001-01-01', NULL), ('ORCL', DATE '0001-01-01', NULL)) AS v ("symbol", "first_session", "last_session")) AS l
LEFT JOIN (
    SELECT symbol, MAX(trade_date) AS last_traded
    FROM traded
    GROUP BY symbol
) AS t ON t.symbol = l.symbol
-- The sessions in which other symbols were traded.
JOIN (SELECT DISTINCT trade_date FROM traded) AS s ON s.trade_date > COALESCE(t.last_traded, l.first_session) AND s.trade_date >= l.first_session
WHERE l.first_session <= DATE '2012-03-01'
  AND (l.last_session IS NULL OR l.last_session >= DATE '2012-03-01')
GROUP BY l.symbol, t.last_traded
HAVING COUNT(*) >= 5
;

-- sql/audit/warning/volume_above_zero.sql (and 4 other forms, SHA-256 1577710de54391ca)
SELECT symbol, trade_date, 'volume 0' AS detail
FROM backend_staged.load_id__daily_prices__attempt AS s
WHERE volume = 0
  AND trade_date BETWEEN DATE '2011-06-01' AND DATE '2012-03-01'
;

-- sql/audit/with_shared_relations.sql (and 3 other forms, SHA-256 7f503626a58c90a9)
WITH bars_to_commit AS (
    SELECT * FROM "audit/bars_to_commit.sql"
),
recent_bars AS (
    SELECT
        b.*,
        LAG(trade_date) OVER w                                                       AS previous_date,
        LAG(open_price) OVER w                                                       AS previous_open,
        LAG(high_price) OVER w                                                       AS previous_high,
        LAG(low_price) OVER w                                                        AS previous_low,
        LAG(close_price) OVER w                                                      AS previous_close,
        LAG(volume) OVER w                                                           AS previous_volume,
        LEAD(volume) OVER w                                                          AS next_volume,
        split_factor / LAG(split_factor) OVER w                                      AS split_ratio,
        LAG(close_price) OVER w * (LAG(split_factor) OVER w / split_factor)          AS adjusted_close,
        CAST(LAG(volume) OVER w AS DOUBLE) / LAG(split_factor) OVER w                AS shares_1,
        LAG(shares, 2) OVER w                                                        AS shares_2,
        LAG(shares, 3) OVER w                                                        AS shares_3,
        LAG(shares, 4) OVER w                                                        AS shares_4,
        LAG(shares, 5) OVER w                                                        AS shares_5,
        LAG(shares, 6) OVER w                                                        AS shares_6,
        LAG(shares, 7) OVER w                                                        AS shares_7
    FROM (
        SELECT r.*, r.traded / r.split_factor AS shares, l.first_session
        FROM (
            SELECT symbol, trade_date, open_price, high_price, low_price, close_price, volume, split_factor,
                CAST(volume AS DOUBLE) AS traded
            FROM backend_staged.load_id__daily_prices__attempt
            UNION ALL
            SELECT symbol, trade_date, open_price, high_price, low_price, close_price, volume, split_factor,
                CAST(volume AS DOUBLE) AS traded
            FROM (SELECT CAST(NULL AS varchar) AS symbol, CAST(NULL AS date) AS trade_date, CAST(NULL AS double) AS open_price, CAST(NULL AS double) AS high_price, CAST(NULL AS double) AS low_price, CAST(NULL AS double) AS close_price, CAST(NULL AS bigint) AS volume, CAST(NULL AS double) AS daily_return, CAST(NULL AS double) AS avg_price, CAST(NULL AS double) AS volatility, CAST(NULL AS double) AS prev_close, CAST(NULL AS double) AS price_change_pct, CAST(NULL AS double) AS rolling_avg_5d, CAST(NULL AS double) AS volume_surge_ratio, CAST(NULL AS varchar) AS candle_type, CAST(NULL AS boolean) AS is_market_up, CAST(NULL AS double) AS split_factor WHERE FALSE)
            WHERE trade_date >= DATE '2011-05-11' AND trade_date < DATE '2011-06-01'
        ) AS r
        LEFT JOIN (SELECT * FROM (VALUES (CAST('AAPL' AS varchar), CAST(DATE '0001-01-01' AS date), CAST(NULL AS date)), ('CSCO', DATE '0001-01-01', NULL), ('IBM', DATE '0001-01-01', NULL), ('MSFT', DATE '0001-01-01', NULL), ('ORCL', DATE '0001-01-01', NULL)) AS v ("symbol", "first_session", "last_session")) AS l
            ON  l.symbol = r.symbol
            AND l.first_session <= r.trade_date
            AND (l.last_session IS NULL OR r.trade_date <= l.last_session)
    ) AS b
    WINDOW w AS (PARTITION BY symbol, first_session ORDER BY trade_date)
)
SELECT
    CAST(CASE WHEN a.audit IS NULL THEN f.audit ELSE 'acknowledged ' || f.audit END AS VARCHAR) AS audit,
    f.symbol,
    f.trade_date,
    f.detail
FROM (SELECT * FROM "audit/named.sql"
UNION ALL
SELECT * FROM "audit/named.sql"
UNION ALL
SELECT * FROM "audit/named.sql"
UNION ALL
SELECT * FROM "audit/named.sql"
UNION ALL
SELECT * FROM "audit/named.sql"
UNION ALL
SELECT * FROM "audit/named.sql"
UNION ALL
SELECT * FROM "audit/named.sql"
UNION ALL
SELECT * FROM "audit/named.sql"
UNION ALL
SELECT * FROM "audit/named.sql"
UNION ALL
SELECT * FROM "audit/named.sql"
UNION ALL
SELECT * FROM "audit/named.sql"
UNION ALL
SELECT * FROM "audit/named.sql"
UNION ALL
SELECT * FROM "audit/named.sql"
UNION ALL
SELECT * FROM "audit/named.sql"
UNION ALL
SELECT * FROM "audit/named.sql"
UNION ALL
SELECT * FROM "audit/named.sql"
UNION ALL
SELECT * FROM "audit/named.sql"
UNION ALL
SELECT * FROM "audit/named.sql"
UNION ALL
SELECT * FROM "audit/named.sql"
UNION ALL
SELECT * FROM "audit/named.sql"
UNION ALL
SELECT * FROM "audit/named.sql"
UNION ALL
SELECT * FROM "audit/named.sql"
UNION ALL
SELECT * FROM "audit/named.sql"
UNION ALL
SELECT * FROM "audit/named.sql"
UNION ALL
SELECT * FROM "audit/named.sql"
UNION ALL
SELECT * FROM "audit/named.sql"
UNION ALL
SELECT * FROM "audit/named.sql"
UNION ALL
SELECT * FROM "audit/named.sql"
UNION ALL
SELECT * FROM "audit/named.sql"
UNION ALL
SELECT * FROM "audit/named.sql"
UNION ALL
SELECT * FROM "audit/named.sql"
UNION ALL
SELECT * FROM "audit/named.sql"
UNION ALL
SELECT * FROM "audit/named.sql"
UNION ALL
SELECT * FROM "audit/named.sql"
UNION ALL
SELECT * FROM "audit/quarantined.sql") AS f
LEFT JOIN (SELECT CAST(NULL AS varchar) AS "audit", CAST(NULL AS varchar) AS "symbol", CAST(NULL AS date) AS "trade_date" WHERE FALSE) AS a
    ON  a.audit = f.audit
    AND a.symbol = COALESCE(f.symbol, '-')
    AND a.trade_date = f.trade_date
;

-- sql/coverage/available_bars.sql
SELECT
    symbol,
    trade_date,
    CAST(NULL AS VARCHAR) AS quarantined_from,
    CAST(NULL AS VARCHAR) AS audit,
    CAST(NULL AS VARCHAR) AS detail
FROM backend_published.daily_prices FOR VERSION AS OF snapshot_id AS p
WHERE trade_date BETWEEN DATE '2012-03-01' AND DATE '2012-03-07'
UNION ALL
SELECT symbol, trade_date, payload AS quarantined_from, audit, detail
FROM backend_published.quarantined_prices FOR VERSION AS OF snapshot_id AS q
WHERE trade_date BETWEEN DATE '2012-03-01' AND DATE '2012-03-07'
;

-- sql/coverage/latest_session.sql (and 1 other form, SHA-256 ebbc11f01b81ee8b)
SELECT MAX(trade_date) AS latest_session, COUNT(CASE WHEN trade_date = DATE 'day' THEN symbol END) AS symbols
FROM backend_published.daily_prices FOR VERSION AS OF snapshot_id AS p
WHERE trade_date >= DATE 'day'
;

-- sql/coverage/row_numbers.sql (and 8 other forms, SHA-256 710ec54b38a85458)
WITH weighted AS (
    SELECT
        p.symbol,
        p.trade_date,
        p.volume,
        p.candle_type,
        p.is_market_up,
        COALESCE(n.number, 1) AS symbol_number,
        p.open_price + 1.6180339E0 * p.high_price + 2.7182818E0 * p.low_price + 3.1415926E0 * p.close_price
        + 4.6692016E0 * p.daily_return + 5.3983241E0 * p.avg_price + 6.2831853E0 * COALESCE(p.prev_close, -1.3E0)
        + 7.3890561E0 * COALESCE(p.rolling_avg_5d, -1.7E0) AS prices,
        1E4 * COALESCE(p.volatility, -1.1E0) + 1.6180339E0 * COALESCE(p.price_change_pct, -1.9E3)
        + 2.7182818E0 * COALESCE(p.volume_surge_ratio, -2.3E0) + 3.1415926E0 * COALESCE(p.split_factor, -2.9E0)
            AS metrics
    FROM backend_staged.load_id__daily_prices__attempt AS p
    LEFT JOIN (SELECT * FROM (VALUES (CAST('AAPL' AS varchar), CAST(32195798 AS bigint)), ('CSCO', 31750133), ('IBM', 158573736), ('MSFT', 140742402), ('ORCL', 119462156)) AS v ("symbol", "number")) AS n ON n.symbol = p.symbol
    WHERE p.trade_date BETWEEN DATE '2011-06-01' AND DATE '2012-03-01'
),
numbered AS (
    SELECT
        symbol,
        trade_date,
        MOD(
            symbol_number
            + 1000003 * MOD(CASE WHEN ABS(prices) < 1E12 THEN CAST(ROUND(prices * 1E6) AS BIGINT) ELSE 7 END, 2147483647)
            + 1000033 * MOD(CASE WHEN ABS(metrics) < 1E12 THEN CAST(ROUND(metrics * 1E6) AS BIGINT) ELSE 7 END, 2147483647)
            + 1000037 * MOD(volume, 2147483647)
            + 1000039 * COALESCE(STRPOS('flat,doji,hammer,shooting_star,marubozu,bullish,bearish', candle_type), 99)
            + 1000081 * CASE WHEN is_market_up THEN 1 WHEN NOT is_market_up THEN 2 ELSE 3 END,
            2147483647
        ) AS number
    FROM weighted
)
SELECT symbol, trade_date, MOD(number * number, 2147483647) AS number
FROM numbered
;

-- sql/coverage/session_rows.sql
SELECT
    p.trade_date,
    COUNT(*)                  AS row_count,
    COUNT(DISTINCT p.symbol)  AS symbols,
    COUNT(DISTINCT l.symbol)  AS listed_symbols,
    CAST(SUM(p.number) AS BIGINT) AS digest
FROM (SELECT * FROM "coverage/row_numbers.sql") AS p
LEFT JOIN (SELECT * FROM (VALUES (CAST('AAPL' AS varchar), CAST(DATE '0001-01-01' AS date), CAST(NULL AS date)), ('CSCO', DATE '0001-01-01', NULL), ('IBM', DATE '0001-01-01', NULL), ('MSFT', DATE '0001-01-01', NULL), ('ORCL', DATE '0001-01-01', NULL)) AS v ("symbol", "first_session", "last_session")) AS l
    ON  l.symbol = p.symbol
    AND l.first_session <= p.trade_date
    AND (l.last_session IS NULL OR p.trade_date <= l.last_session)
GROUP BY p.trade_date
;

-- sql/coverage/sessions_with_rows.sql
SELECT DISTINCT trade_date FROM backend_published.daily_prices FOR VERSION AS OF snapshot_id ORDER BY trade_date
;

-- sql/ddl/athena/add_columns.sql
ALTER TABLE backend_published.daily_prices ADD COLUMNS (`volume_surge_ratio` double COMMENT 'Volume / mean volume of the 7 previous sessions, split-adjusted as of this row\'s date; NULL with fewer than 7 (ratio)')
;

-- sql/ddl/athena/compaction.sql
ALTER TABLE backend_published.daily_prices SET TBLPROPERTIES (
    'optimize_rewrite_data_file_threshold' = '2',
    'optimize_rewrite_delete_file_threshold' = '1'
)
;

-- sql/ddl/athena/optimize.sql
OPTIMIZE backend_published.daily_prices REWRITE DATA USING BIN_PACK
;

-- sql/ddl/athena/published_table.sql
CREATE TABLE IF NOT EXISTS backend_published.daily_prices (
    `symbol` string COMMENT 'Ticker symbol, as the exchange lists it',
    `trade_date` date COMMENT 'Trading session, by its New York date',
    `open_price` double COMMENT 'First trade of the regular session, as traded (USD)',
    `high_price` double COMMENT 'Highest trade of the session, as traded (USD)',
    `low_price` double COMMENT 'Lowest trade of the session, as traded (USD)',
    `close_price` double COMMENT 'Official close, as traded (not adjusted) (USD)',
    `volume` bigint COMMENT 'Shares that changed hands, as traded (shares)',
    `daily_return` double COMMENT 'close - open (USD)',
    `avg_price` double COMMENT '(open + high + low + close) / 4 (USD)',
    `volatility` double COMMENT 'Garman-Klass variance of the day: 0.5 ln(high/low)^2 - (2 ln 2 - 1) ln(close/open)^2 (variance of log prices, no square root)',
    `prev_close` double COMMENT 'Close of the previous session, split-adjusted as of this row\'s date (USD)',
    `price_change_pct` double COMMENT '(close - prev_close) / prev_close * 100 (%)',
    `rolling_avg_5d` double COMMENT 'Mean close of this and the 4 previous sessions, split-adjusted as of this row\'s date; NULL with fewer than 5 (USD)',
    `volume_surge_ratio` double COMMENT 'Volume / mean volume of the 7 previous sessions, split-adjusted as of this row\'s date; NULL with fewer than 7 (ratio)',
    `candle_type` string COMMENT 'Shape of the bar, the first that fits: flat (high = low), doji (body at most 1/10 of the range), hammer (lower wick at least 2 bodies, upper at most 1/2), shooting_star (the reverse), marubozu (body at least 9/10 of the range), bullish (close > open), bea',
    `is_market_up` boolean COMMENT 'close > open',
    `split_factor` double COMMENT 'Product of the split ratios with an ex-date up to this session; 1 before the first split (new shares per first share)'
)
PARTITIONED BY (year(trade_date))
LOCATION 's3://stock-assets-tests/tests/backend/published/daily_prices/'
TBLPROPERTIES (
    'table_type' = 'ICEBERG',
    'format' = 'parquet',
    'write_compression' = 'zstd'
)
;

-- sql/ddl/athena/published_table.sql
CREATE TABLE IF NOT EXISTS backend_published.quarantined_prices (
    `symbol` string COMMENT 'Ticker symbol, as the exchange lists it',
    `trade_date` date COMMENT 'Trading session, by its New York date',
    `audit` string COMMENT 'Audit that the bar failed',
    `detail` string COMMENT 'What the audit found',
    `open_price` double COMMENT 'Open (USD)',
    `high_price` double COMMENT 'High (USD)',
    `low_price` double COMMENT 'Low (USD)',
    `close_price` double COMMENT 'Close (USD)',
    `volume` bigint COMMENT 'Volume (shares)',
    `unparsed_text` string COMMENT 'Fields whose text is not a plain number, as in the raw response',
    `fetched_at` timestamp COMMENT 'When the response was requested (UTC)',
    `payload` string COMMENT 'Key of the raw response that contains the bar',
    `load_id` string COMMENT 'First load that quarantined the bar',
    `contradicting_rows` string COMMENT 'Rows of the response for this bar that contradict each other, as in the raw response'
)
PARTITIONED BY (year(trade_date))
LOCATION 's3://stock-assets-tests/tests/backend/published/quarantined_prices/'
TBLPROPERTIES (
    'table_type' = 'ICEBERG',
    'format' = 'parquet',
    'write_compression' = 'zstd'
)
;

-- sql/ddl/athena/raw_prices.sql
CREATE EXTERNAL TABLE IF NOT EXISTS backend_raw.daily_price_lines (
    `line` string
)
PARTITIONED BY (ingest_date string)
ROW FORMAT SERDE 'org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe'
WITH SERDEPROPERTIES ('serialization.format' = '1')
STORED AS TEXTFILE
LOCATION 's3://stock-assets-tests/tests/backend/raw/daily_prices/'
TBLPROPERTIES (
    'skip.header.line.count' = '1',
    'projection.enabled' = 'true',
    'projection.ingest_date.type' = 'date',
    'projection.ingest_date.format' = 'yyyy-MM-dd',
    'projection.ingest_date.range' = '2000-01-01,NOW+1DAYS',
    'storage.location.template' = 's3://stock-assets-tests/tests/backend/raw/daily_prices/ingest_date=${ingest_date}/'
)
;

-- sql/ddl/athena/retention.sql
ALTER TABLE backend_published.daily_prices SET TBLPROPERTIES (
    'vacuum_max_snapshot_age_seconds' = '2678400',
    'vacuum_min_snapshots_to_keep' = '1',
    'vacuum_max_metadata_files_to_keep' = '100'
)
;

-- sql/ddl/athena/staging_table.sql
CREATE TABLE backend_staged.load_id__typed_prices__attempt
WITH (
    table_type = 'ICEBERG',
    format = 'PARQUET',
    write_compression = 'ZSTD',
    is_external = false,
    location = 's3://stock-assets-tests/tests/backend/staged/tables/load_id/typed_prices/attempt/'
)
AS
SELECT * FROM "stage/typed_prices.sql"
;

-- sql/ddl/athena/staging_table.sql
CREATE TABLE backend_staged.load_id__quarantined_prices__attempt
WITH (
    table_type = 'ICEBERG',
    format = 'PARQUET',
    write_compression = 'ZSTD',
    is_external = false,
    location = 's3://stock-assets-tests/tests/backend/staged/tables/load_id/quarantined_prices/attempt/'
)
AS
SELECT * FROM "stage/quarantined_prices.sql"
;

-- sql/ddl/athena/staging_table.sql
CREATE TABLE backend_staged.load_id__daily_prices__attempt
WITH (
    table_type = 'ICEBERG',
    format = 'PARQUET',
    write_compression = 'ZSTD',
    is_external = false,
    location = 's3://stock-assets-tests/tests/backend/staged/tables/load_id/daily_prices/attempt/'
)
AS
SELECT * FROM "stage/daily_prices.sql"
;

-- sql/ddl/athena/staging_table.sql
CREATE TABLE backend_staged.load_id__daily_prices__attempt
WITH (
    table_type = 'ICEBERG',
    format = 'PARQUET',
    write_compression = 'ZSTD',
    is_external = false,
    location = 's3://stock-assets-tests/tests/backend/staged/tables/load_id/daily_prices/attempt/'
)
AS
SELECT symbol, trade_date FROM backend_staged.load_id__daily_prices__attempt
;

-- sql/ddl/athena/vacuum.sql
VACUUM backend_published.daily_prices
;

-- sql/ddl/athena/view.sql
CREATE OR REPLACE VIEW backend_published.adjusted_prices AS
SELECT * FROM "serve/adjusted_prices.sql"
;

-- sql/ddl/athena/view.sql
CREATE OR REPLACE VIEW backend_published.price_trends AS
SELECT * FROM "serve/price_trends.sql"
;

-- sql/ddl/athena/view.sql
CREATE OR REPLACE VIEW backend_published.weekly_trends AS
SELECT * FROM "serve/weekly_trends.sql"
;

-- sql/ddl/athena/view.sql
CREATE OR REPLACE VIEW backend_published.candles AS
SELECT * FROM "serve/candles.sql"
;

-- sql/ddl/athena/view.sql
CREATE OR REPLACE VIEW backend_published.latest_board AS
SELECT * FROM "serve/latest_board.sql"
;

-- sql/ddl/athena/view.sql
CREATE OR REPLACE VIEW backend_published.movers AS
SELECT * FROM "serve/movers.sql"
;

-- sql/ddl/athena/view.sql
CREATE OR REPLACE VIEW backend_published.volume_surges AS
SELECT * FROM "serve/volume_surges.sql"
;

-- sql/ddl/athena/view.sql
CREATE OR REPLACE VIEW backend_published.market_breadth AS
SELECT * FROM "serve/market_breadth.sql"
;

-- sql/ddl/athena/view.sql
CREATE OR REPLACE VIEW backend_published.coverage AS
SELECT * FROM "serve/coverage.sql"
;

-- sql/ddl/athena/view.sql
CREATE OR REPLACE VIEW backend_published.quarantine_by_audit AS
SELECT * FROM "serve/quarantine_by_audit.sql"
;

-- sql/ddl/athena/view.sql
CREATE OR REPLACE VIEW backend_published.split_events AS
SELECT * FROM "serve/split_events.sql"
;

-- sql/ddl/athena/view.sql
CREATE OR REPLACE VIEW backend_published.freshness AS
SELECT * FROM "serve/freshness.sql"
;

-- sql/ingest/latest_jumps.sql (and 1 other form, SHA-256 a871f70a554cd796)
SELECT symbol, MAX(trade_date) AS trade_date
FROM (SELECT CAST(NULL AS varchar) AS symbol, CAST(NULL AS date) AS trade_date, CAST(NULL AS double) AS open_price, CAST(NULL AS double) AS high_price, CAST(NULL AS double) AS low_price, CAST(NULL AS double) AS close_price, CAST(NULL AS bigint) AS volume, CAST(NULL AS double) AS daily_return, CAST(NULL AS double) AS avg_price, CAST(NULL AS double) AS volatility, CAST(NULL AS double) AS prev_close, CAST(NULL AS double) AS price_change_pct, CAST(NULL AS double) AS rolling_avg_5d, CAST(NULL AS double) AS volume_surge_ratio, CAST(NULL AS varchar) AS candle_type, CAST(NULL AS boolean) AS is_market_up, CAST(NULL AS double) AS split_factor WHERE FALSE) AS p
WHERE ABS(price_change_pct) > 0.4E0 * 1E2
  AND trade_date >= DATE 'day'
GROUP BY symbol
;

-- sql/publish/added.sql (and 6 other forms, SHA-256 42d7a9970551cd42)
SELECT symbol, trade_date, CAST('' AS VARCHAR) AS detail
FROM (
    SELECT symbol, trade_date, open_price, high_price, low_price, close_price, volume, daily_return, avg_price, volatility, prev_close, price_change_pct, rolling_avg_5d, volume_surge_ratio, candle_type, is_market_up, split_factor FROM backend_staged.load_id__daily_prices__attempt AS s
    EXCEPT
    SELECT symbol, trade_date, open_price, high_price, low_price, close_price, volume, daily_return, avg_price, volatility, prev_close, price_change_pct, rolling_avg_5d, volume_surge_ratio, candle_type, is_market_up, split_factor FROM backend_published.daily_prices FOR VERSION AS OF snapshot_id WHERE trade_date BETWEEN DATE '2012-03-02' AND DATE '2012-03-23'
) AS added
;

-- sql/publish/changes.sql (and 1 other form, SHA-256 07a1b56337f71a5f)
SELECT audit AS change, COUNT(*) AS changed_rows
FROM (SELECT * FROM "audit/named.sql"
UNION ALL
SELECT * FROM "audit/named.sql") AS c
GROUP BY audit
;

-- sql/publish/kept_after_purge.sql
SELECT symbol, trade_date, open_price, high_price, low_price, close_price, volume, daily_return, avg_price, volatility, prev_close, price_change_pct, rolling_avg_5d, volume_surge_ratio, candle_type, is_market_up, split_factor
FROM backend_published.daily_prices FOR VERSION AS OF snapshot_id AS p
WHERE trade_date BETWEEN DATE '2011-06-01' AND DATE '2012-03-06'
  AND symbol <> 'ORCL'
;

-- sql/publish/merge.sql
MERGE INTO backend_published.daily_prices AS t
USING (
    SELECT c.*
    FROM (
        SELECT 'keep' AS fate, symbol, trade_date, open_price, high_price, low_price, close_price, volume, daily_return, avg_price, volatility, prev_close, price_change_pct, rolling_avg_5d, volume_surge_ratio, candle_type, is_market_up, split_factor
        FROM backend_staged.load_id__daily_prices__attempt AS n
        WHERE trade_date BETWEEN DATE '2011-06-01' AND DATE '2012-03-22'
        UNION ALL
        SELECT 'drop' AS fate, p.symbol, p.trade_date, CAST(NULL AS double), CAST(NULL AS double), CAST(NULL AS double), CAST(NULL AS double), CAST(NULL AS bigint), CAST(NULL AS double), CAST(NULL AS double), CAST(NULL AS double), CAST(NULL AS double), CAST(NULL AS double), CAST(NULL AS double), CAST(NULL AS double), CAST(NULL AS varchar), CAST(NULL AS boolean), CAST(NULL AS double)
        FROM (SELECT CAST(NULL AS varchar) AS symbol, CAST(NULL AS date) AS trade_date, CAST(NULL AS double) AS open_price, CAST(NULL AS double) AS high_price, CAST(NULL AS double) AS low_price, CAST(NULL AS double) AS close_price, CAST(NULL AS bigint) AS volume, CAST(NULL AS double) AS daily_return, CAST(NULL AS double) AS avg_price, CAST(NULL AS double) AS volatility, CAST(NULL AS double) AS prev_close, CAST(NULL AS double) AS price_change_pct, CAST(NULL AS double) AS rolling_avg_5d, CAST(NULL AS double) AS volume_surge_ratio, CAST(NULL AS varchar) AS candle_type, CAST(NULL AS boolean) AS is_market_up, CAST(NULL AS double) AS split_factor WHERE FALSE) AS p
        LEFT JOIN backend_staged.load_id__daily_prices__attempt AS n ON n.symbol = p.symbol AND n.trade_date = p.trade_date
        WHERE p.trade_date BETWEEN DATE '2011-06-01' AND DATE '2012-03-22'
          AND n.symbol IS NULL
    ) AS c
    JOIN (
        SELECT CASE
            WHEN COALESCE(MAX(snapshot_id), 0) = 0 THEN 0
            ELSE CAST('stock_assets: published since, version ' || COALESCE(CAST(MAX(snapshot_id) AS VARCHAR), 'none') AS BIGINT)
        END AS base
        FROM "backend_published"."daily_prices$refs"
        WHERE name = 'main'
    ) AS g ON g.base = 0
) AS s
ON  t.symbol = s.symbol AND t.trade_date = s.trade_date
AND t.trade_date BETWEEN DATE '2011-06-01' AND DATE '2012-03-22'
WHEN MATCHED AND s.fate = 'drop' THEN DELETE
WHEN MATCHED AND (t.open_price IS DISTINCT FROM s.open_price OR t.high_price IS DISTINCT FROM s.high_price OR t.low_price IS DISTINCT FROM s.low_price OR t.close_price IS DISTINCT FROM s.close_price OR t.volume IS DISTINCT FROM s.volume OR t.daily_return IS DISTINCT FROM s.daily_return OR t.avg_price IS DISTINCT FROM s.avg_price OR t.volatility IS DISTINCT FROM s.volatility OR t.prev_close IS DISTINCT FROM s.prev_close OR t.price_change_pct IS DISTINCT FROM s.price_change_pct OR t.rolling_avg_5d IS DISTINCT FROM s.rolling_avg_5d OR t.volume_surge_ratio IS DISTINCT FROM s.volume_surge_ratio OR t.candle_type IS DISTINCT FROM s.candle_type OR t.is_market_up IS DISTINCT FROM s.is_market_up OR t.split_factor IS DISTINCT FROM s.split_factor) THEN UPDATE SET open_price = s.open_price, high_price = s.high_price, low_price = s.low_price, close_price = s.close_price, volume = s.volume, daily_return = s.daily_return, avg_price = s.avg_price, volatility = s.volatility, prev_close = s.prev_close, price_change_pct = s.price_change_pct, rolling_avg_5d = s.rolling_avg_5d, volume_surge_ratio = s.volume_surge_ratio, candle_type = s.candle_type, is_market_up = s.is_market_up, split_factor = s.split_factor
WHEN NOT MATCHED THEN INSERT (symbol, trade_date, open_price, high_price, low_price, close_price, volume, daily_return, avg_price, volatility, prev_close, price_change_pct, rolling_avg_5d, volume_surge_ratio, candle_type, is_market_up, split_factor) VALUES (s.symbol, s.trade_date, s.open_price, s.high_price, s.low_price, s.close_price, s.volume, s.daily_return, s.avg_price, s.volatility, s.prev_close, s.price_change_pct, s.rolling_avg_5d, s.volume_surge_ratio, s.candle_type, s.is_market_up, s.split_factor)
;

-- sql/publish/merge.sql
MERGE INTO backend_published.quarantined_prices AS t
USING (
    SELECT c.*
    FROM (
        SELECT 'keep' AS fate, symbol, trade_date, audit, detail, open_price, high_price, low_price, close_price, volume, unparsed_text, fetched_at, payload, load_id, contradicting_rows
        FROM backend_staged.load_id__quarantined_prices__attempt AS n
        WHERE trade_date BETWEEN DATE '2012-03-02' AND DATE '2012-03-04'
        UNION ALL
        SELECT 'drop' AS fate, p.symbol, p.trade_date, p.audit, CAST(NULL AS varchar), CAST(NULL AS double), CAST(NULL AS double), CAST(NULL AS double), CAST(NULL AS double), CAST(NULL AS bigint), CAST(NULL AS varchar), CAST(NULL AS timestamp(6)), CAST(NULL AS varchar), CAST(NULL AS varchar), CAST(NULL AS varchar)
        FROM (SELECT CAST(NULL AS varchar) AS symbol, CAST(NULL AS date) AS trade_date, CAST(NULL AS varchar) AS audit, CAST(NULL AS varchar) AS detail, CAST(NULL AS double) AS open_price, CAST(NULL AS double) AS high_price, CAST(NULL AS double) AS low_price, CAST(NULL AS double) AS close_price, CAST(NULL AS bigint) AS volume, CAST(NULL AS varchar) AS unparsed_text, CAST(NULL AS timestamp(6)) AS fetched_at, CAST(NULL AS varchar) AS payload, CAST(NULL AS varchar) AS load_id, CAST(NULL AS varchar) AS contradicting_rows WHERE FALSE) AS p
        LEFT JOIN backend_staged.load_id__quarantined_prices__attempt AS n ON n.symbol = p.symbol AND n.trade_date = p.trade_date AND n.audit = p.audit
        WHERE p.trade_date BETWEEN DATE '2012-03-02' AND DATE '2012-03-04'
          AND n.symbol IS NULL
    ) AS c
    JOIN (
        SELECT CASE
            WHEN COALESCE(MAX(snapshot_id), 0) = 0 THEN 0
            ELSE CAST('stock_assets: published since, version ' || COALESCE(CAST(MAX(snapshot_id) AS VARCHAR), 'none') AS BIGINT)
        END AS base
        FROM "backend_published"."quarantined_prices$refs"
        WHERE name = 'main'
    ) AS g ON g.base = 0
) AS s
ON  t.symbol = s.symbol AND t.trade_date = s.trade_date AND t.audit = s.audit
AND t.trade_date BETWEEN DATE '2012-03-02' AND DATE '2012-03-04'
WHEN MATCHED AND s.fate = 'drop' THEN DELETE
WHEN MATCHED AND (t.detail IS DISTINCT FROM s.detail OR t.open_price IS DISTINCT FROM s.open_price OR t.high_price IS DISTINCT FROM s.high_price OR t.low_price IS DISTINCT FROM s.low_price OR t.close_price IS DISTINCT FROM s.close_price OR t.volume IS DISTINCT FROM s.volume OR t.unparsed_text IS DISTINCT FROM s.unparsed_text OR t.fetched_at IS DISTINCT FROM s.fetched_at OR t.payload IS DISTINCT FROM s.payload OR t.load_id IS DISTINCT FROM s.load_id OR t.contradicting_rows IS DISTINCT FROM s.contradicting_rows) THEN UPDATE SET detail = s.detail, open_price = s.open_price, high_price = s.high_price, low_price = s.low_price, close_price = s.close_price, volume = s.volume, unparsed_text = s.unparsed_text, fetched_at = s.fetched_at, payload = s.payload, load_id = s.load_id, contradicting_rows = s.contradicting_rows
WHEN NOT MATCHED THEN INSERT (symbol, trade_date, audit, detail, open_price, high_price, low_price, close_price, volume, unparsed_text, fetched_at, payload, load_id, contradicting_rows) VALUES (s.symbol, s.trade_date, s.audit, s.detail, s.open_price, s.high_price, s.low_price, s.close_price, s.volume, s.unparsed_text, s.fetched_at, s.payload, s.load_id, s.contradicting_rows)
;

-- sql/publish/merge.sql
MERGE INTO backend_published.daily_prices AS t
USING (
    SELECT c.*
    FROM (
        SELECT 'keep' AS fate, symbol, trade_date, open_price, high_price, low_price, close_price, volume, daily_return, avg_price, volatility, prev_close, price_change_pct, rolling_avg_5d, volume_surge_ratio, candle_type, is_market_up, split_factor
        FROM backend_staged.load_id__daily_prices__attempt AS n
        WHERE trade_date BETWEEN DATE '2012-03-02' AND DATE '2012-03-23'
        UNION ALL
        SELECT 'drop' AS fate, p.symbol, p.trade_date, CAST(NULL AS double), CAST(NULL AS double), CAST(NULL AS double), CAST(NULL AS double), CAST(NULL AS bigint), CAST(NULL AS double), CAST(NULL AS double), CAST(NULL AS double), CAST(NULL AS double), CAST(NULL AS double), CAST(NULL AS double), CAST(NULL AS double), CAST(NULL AS varchar), CAST(NULL AS boolean), CAST(NULL AS double)
        FROM backend_published.daily_prices FOR VERSION AS OF snapshot_id AS p
        LEFT JOIN backend_staged.load_id__daily_prices__attempt AS n ON n.symbol = p.symbol AND n.trade_date = p.trade_date
        WHERE p.trade_date BETWEEN DATE '2012-03-02' AND DATE '2012-03-23'
          AND n.symbol IS NULL
    ) AS c
    JOIN (
        SELECT CASE
            WHEN COALESCE(MAX(snapshot_id), 0) = snapshot_id THEN snapshot_id
            ELSE CAST('stock_assets: published since, version ' || COALESCE(CAST(MAX(snapshot_id) AS VARCHAR), 'none') AS BIGINT)
        END AS base
        FROM "backend_published"."daily_prices$refs"
        WHERE name = 'main'
    ) AS g ON g.base = snapshot_id
) AS s
ON  t.symbol = s.symbol AND t.trade_date = s.trade_date
AND t.trade_date BETWEEN DATE '2012-03-02' AND DATE '2012-03-23'
WHEN MATCHED AND s.fate = 'drop' THEN DELETE
WHEN MATCHED AND (t.open_price IS DISTINCT FROM s.open_price OR t.high_price IS DISTINCT FROM s.high_price OR t.low_price IS DISTINCT FROM s.low_price OR t.close_price IS DISTINCT FROM s.close_price OR t.volume IS DISTINCT FROM s.volume OR t.daily_return IS DISTINCT FROM s.daily_return OR t.avg_price IS DISTINCT FROM s.avg_price OR t.volatility IS DISTINCT FROM s.volatility OR t.prev_close IS DISTINCT FROM s.prev_close OR t.price_change_pct IS DISTINCT FROM s.price_change_pct OR t.rolling_avg_5d IS DISTINCT FROM s.rolling_avg_5d OR t.volume_surge_ratio IS DISTINCT FROM s.volume_surge_ratio OR t.candle_type IS DISTINCT FROM s.candle_type OR t.is_market_up IS DISTINCT FROM s.is_market_up OR t.split_factor IS DISTINCT FROM s.split_factor) THEN UPDATE SET open_price = s.open_price, high_price = s.high_price, low_price = s.low_price, close_price = s.close_price, volume = s.volume, daily_return = s.daily_return, avg_price = s.avg_price, volatility = s.volatility, prev_close = s.prev_close, price_change_pct = s.price_change_pct, rolling_avg_5d = s.rolling_avg_5d, volume_surge_ratio = s.volume_surge_ratio, candle_type = s.candle_type, is_market_up = s.is_market_up, split_factor = s.split_factor
WHEN NOT MATCHED THEN INSERT (symbol, trade_date, open_price, high_price, low_price, close_price, volume, daily_return, avg_price, volatility, prev_close, price_change_pct, rolling_avg_5d, volume_surge_ratio, candle_type, is_market_up, split_factor) VALUES (s.symbol, s.trade_date, s.open_price, s.high_price, s.low_price, s.close_price, s.volume, s.daily_return, s.avg_price, s.volatility, s.prev_close, s.price_change_pct, s.rolling_avg_5d, s.volume_surge_ratio, s.candle_type, s.is_market_up, s.split_factor)
;

-- sql/publish/merge.sql
MERGE INTO backend_published.daily_prices AS t
USING (
    SELECT c.*
    FROM (
        SELECT 'keep' AS fate, symbol, trade_date, open_price, high_price, low_price, close_price, volume, daily_return, avg_price, volatility, prev_close, price_change_pct, rolling_avg_5d, volume_surge_ratio, candle_type, is_market_up, split_factor
        FROM backend_staged.load_id__daily_prices__attempt AS n
        WHERE trade_date BETWEEN DATE '2012-03-03' AND DATE '2012-03-26'
        UNION ALL
        SELECT 'drop' AS fate, p.symbol, p.trade_date, CAST(NULL AS double), CAST(NULL AS double), CAST(NULL AS double), CAST(NULL AS double), CAST(NULL AS bigint), CAST(NULL AS double), CAST(NULL AS double), CAST(NULL AS double), CAST(NULL AS double), CAST(NULL AS double), CAST(NULL AS double), CAST(NULL AS double), CAST(NULL AS varchar), CAST(NULL AS boolean), CAST(NULL AS double)
        FROM backend_published.daily_prices FOR VERSION AS OF snapshot_id AS p
        LEFT JOIN backend_staged.load_id__daily_prices__attempt AS n ON n.symbol = p.symbol AND n.trade_date = p.trade_date
        WHERE p.trade_date BETWEEN DATE '2012-03-03' AND DATE '2012-03-26'
          AND n.symbol IS NULL
    ) AS c
    JOIN (
        SELECT CASE
            WHEN COALESCE(MAX(snapshot_id), 0) = snapshot_id THEN snapshot_id
            ELSE CAST('stock_assets: published since, version ' || COALESCE(CAST(MAX(snapshot_id) AS VARCHAR), 'none') AS BIGINT)
        END AS base
        FROM "backend_published"."daily_prices$refs"
        WHERE name = 'main'
    ) AS g ON g.base = snapshot_id
) AS s
ON  t.symbol = s.symbol AND t.trade_date = s.trade_date
AND t.trade_date BETWEEN DATE '2012-03-03' AND DATE '2012-03-26'
WHEN MATCHED AND s.fate = 'drop' THEN DELETE
WHEN MATCHED AND (t.open_price IS DISTINCT FROM s.open_price OR t.high_price IS DISTINCT FROM s.high_price OR t.low_price IS DISTINCT FROM s.low_price OR t.close_price IS DISTINCT FROM s.close_price OR t.volume IS DISTINCT FROM s.volume OR t.daily_return IS DISTINCT FROM s.daily_return OR t.avg_price IS DISTINCT FROM s.avg_price OR t.volatility IS DISTINCT FROM s.volatility OR t.prev_close IS DISTINCT FROM s.prev_close OR t.price_change_pct IS DISTINCT FROM s.price_change_pct OR t.rolling_avg_5d IS DISTINCT FROM s.rolling_avg_5d OR t.volume_surge_ratio IS DISTINCT FROM s.volume_surge_ratio OR t.candle_type IS DISTINCT FROM s.candle_type OR t.is_market_up IS DISTINCT FROM s.is_market_up OR t.split_factor IS DISTINCT FROM s.split_factor) THEN UPDATE SET open_price = s.open_price, high_price = s.high_price, low_price = s.low_price, close_price = s.close_price, volume = s.volume, daily_return = s.daily_return, avg_price = s.avg_price, volatility = s.volatility, prev_close = s.prev_close, price_change_pct = s.price_change_pct, rolling_avg_5d = s.rolling_avg_5d, volume_surge_ratio = s.volume_surge_ratio, candle_type = s.candle_type, is_market_up = s.is_market_up, split_factor = s.split_factor
WHEN NOT MATCHED THEN INSERT (symbol, trade_date, open_price, high_price, low_price, close_price, volume, daily_return, avg_price, volatility, prev_close, price_change_pct, rolling_avg_5d, volume_surge_ratio, candle_type, is_market_up, split_factor) VALUES (s.symbol, s.trade_date, s.open_price, s.high_price, s.low_price, s.close_price, s.volume, s.daily_return, s.avg_price, s.volatility, s.prev_close, s.price_change_pct, s.rolling_avg_5d, s.volume_surge_ratio, s.candle_type, s.is_market_up, s.split_factor)
;

-- sql/publish/merge.sql
MERGE INTO backend_published.daily_prices AS t
USING (
    SELECT c.*
    FROM (
        SELECT 'keep' AS fate, symbol, trade_date, open_price, high_price, low_price, close_price, volume, daily_return, avg_price, volatility, prev_close, price_change_pct, rolling_avg_5d, volume_surge_ratio, candle_type, is_market_up, split_factor
        FROM backend_staged.load_id__daily_prices__attempt AS n
        WHERE trade_date BETWEEN DATE '2012-03-06' AND DATE '2012-03-28'
        UNION ALL
        SELECT 'drop' AS fate, p.symbol, p.trade_date, CAST(NULL AS double), CAST(NULL AS double), CAST(NULL AS double), CAST(NULL AS double), CAST(NULL AS bigint), CAST(NULL AS double), CAST(NULL AS double), CAST(NULL AS double), CAST(NULL AS double), CAST(NULL AS double), CAST(NULL AS double), CAST(NULL AS double), CAST(NULL AS varchar), CAST(NULL AS boolean), CAST(NULL AS double)
        FROM backend_published.daily_prices FOR VERSION AS OF snapshot_id AS p
        LEFT JOIN backend_staged.load_id__daily_prices__attempt AS n ON n.symbol = p.symbol AND n.trade_date = p.trade_date
        WHERE p.trade_date BETWEEN DATE '2012-03-06' AND DATE '2012-03-28'
          AND n.symbol IS NULL
    ) AS c
    JOIN (
        SELECT CASE
            WHEN COALESCE(MAX(snapshot_id), 0) = snapshot_id THEN snapshot_id
            ELSE CAST('stock_assets: published since, version ' || COALESCE(CAST(MAX(snapshot_id) AS VARCHAR), 'none') AS BIGINT)
        END AS base
        FROM "backend_published"."daily_prices$refs"
        WHERE name = 'main'
    ) AS g ON g.base = snapshot_id
) AS s
ON  t.symbol = s.symbol AND t.trade_date = s.trade_date
AND t.trade_date BETWEEN DATE '2012-03-06' AND DATE '2012-03-28'
WHEN MATCHED AND s.fate = 'drop' THEN DELETE
WHEN MATCHED AND (t.open_price IS DISTINCT FROM s.open_price OR t.high_price IS DISTINCT FROM s.high_price OR t.low_price IS DISTINCT FROM s.low_price OR t.close_price IS DISTINCT FROM s.close_price OR t.volume IS DISTINCT FROM s.volume OR t.daily_return IS DISTINCT FROM s.daily_return OR t.avg_price IS DISTINCT FROM s.avg_price OR t.volatility IS DISTINCT FROM s.volatility OR t.prev_close IS DISTINCT FROM s.prev_close OR t.price_change_pct IS DISTINCT FROM s.price_change_pct OR t.rolling_avg_5d IS DISTINCT FROM s.rolling_avg_5d OR t.volume_surge_ratio IS DISTINCT FROM s.volume_surge_ratio OR t.candle_type IS DISTINCT FROM s.candle_type OR t.is_market_up IS DISTINCT FROM s.is_market_up OR t.split_factor IS DISTINCT FROM s.split_factor) THEN UPDATE SET open_price = s.open_price, high_price = s.high_price, low_price = s.low_price, close_price = s.close_price, volume = s.volume, daily_return = s.daily_return, avg_price = s.avg_price, volatility = s.volatility, prev_close = s.prev_close, price_change_pct = s.price_change_pct, rolling_avg_5d = s.rolling_avg_5d, volume_surge_ratio = s.volume_surge_ratio, candle_type = s.candle_type, is_market_up = s.is_market_up, split_factor = s.split_factor
WHEN NOT MATCHED THEN INSERT (symbol, trade_date, open_price, high_price, low_price, close_price, volume, daily_return, avg_price, volatility, prev_close, price_change_pct, rolling_avg_5d, volume_surge_ratio, candle_type, is_market_up, split_factor) VALUES (s.symbol, s.trade_date, s.open_price, s.high_price, s.low_price, s.close_price, s.volume, s.daily_return, s.avg_price, s.volatility, s.prev_close, s.price_change_pct, s.rolling_avg_5d, s.volume_surge_ratio, s.candle_type, s.is_market_up, s.split_factor)
;

-- sql/publish/merge.sql
MERGE INTO backend_published.daily_prices AS t
USING (
    SELECT c.*
    FROM (
        SELECT 'keep' AS fate, symbol, trade_date, open_price, high_price, low_price, close_price, volume, daily_return, avg_price, volatility, prev_close, price_change_pct, rolling_avg_5d, volume_surge_ratio, candle_type, is_market_up, split_factor
        FROM (SELECT * FROM "publish/kept_after_purge.sql") AS n
        WHERE trade_date BETWEEN DATE '2011-06-01' AND DATE '2012-03-06'
        UNION ALL
        SELECT 'drop' AS fate, p.symbol, p.trade_date, CAST(NULL AS double), CAST(NULL AS double), CAST(NULL AS double), CAST(NULL AS double), CAST(NULL AS bigint), CAST(NULL AS double), CAST(NULL AS double), CAST(NULL AS double), CAST(NULL AS double), CAST(NULL AS double), CAST(NULL AS double), CAST(NULL AS double), CAST(NULL AS varchar), CAST(NULL AS boolean), CAST(NULL AS double)
        FROM backend_published.daily_prices FOR VERSION AS OF snapshot_id AS p
        LEFT JOIN (SELECT * FROM "publish/kept_after_purge.sql") AS n ON n.symbol = p.symbol AND n.trade_date = p.trade_date
        WHERE p.trade_date BETWEEN DATE '2011-06-01' AND DATE '2012-03-06'
          AND n.symbol IS NULL
    ) AS c
    JOIN (
        SELECT CASE
            WHEN COALESCE(MAX(snapshot_id), 0) = snapshot_id THEN snapshot_id
            ELSE CAST('stock_assets: published since, version ' || COALESCE(CAST(MAX(snapshot_id) AS VARCHAR), 'none') AS BIGINT)
        END AS base
        FROM "backend_published"."daily_prices$refs"
        WHERE name = 'main'
    ) AS g ON g.base = snapshot_id
) AS s
ON  t.symbol = s.symbol AND t.trade_date = s.trade_date
AND t.trade_date BETWEEN DATE '2011-06-01' AND DATE '2012-03-06'
WHEN MATCHED AND s.fate = 'drop' THEN DELETE
WHEN MATCHED AND (t.open_price IS DISTINCT FROM s.open_price OR t.high_price IS DISTINCT FROM s.high_price OR t.low_price IS DISTINCT FROM s.low_price OR t.close_price IS DISTINCT FROM s.close_price OR t.volume IS DISTINCT FROM s.volume OR t.daily_return IS DISTINCT FROM s.daily_return OR t.avg_price IS DISTINCT FROM s.avg_price OR t.volatility IS DISTINCT FROM s.volatility OR t.prev_close IS DISTINCT FROM s.prev_close OR t.price_change_pct IS DISTINCT FROM s.price_change_pct OR t.rolling_avg_5d IS DISTINCT FROM s.rolling_avg_5d OR t.volume_surge_ratio IS DISTINCT FROM s.volume_surge_ratio OR t.candle_type IS DISTINCT FROM s.candle_type OR t.is_market_up IS DISTINCT FROM s.is_market_up OR t.split_factor IS DISTINCT FROM s.split_factor) THEN UPDATE SET open_price = s.open_price, high_price = s.high_price, low_price = s.low_price, close_price = s.close_price, volume = s.volume, daily_return = s.daily_return, avg_price = s.avg_price, volatility = s.volatility, prev_close = s.prev_close, price_change_pct = s.price_change_pct, rolling_avg_5d = s.rolling_avg_5d, volume_surge_ratio = s.volume_surge_ratio, candle_type = s.candle_type, is_market_up = s.is_market_up, split_factor = s.split_factor
WHEN NOT MATCHED THEN INSERT (symbol, trade_date, open_price, high_price, low_price, close_price, volume, daily_return, avg_price, volatility, prev_close, price_change_pct, rolling_avg_5d, volume_surge_ratio, candle_type, is_market_up, split_factor) VALUES (s.symbol, s.trade_date, s.open_price, s.high_price, s.low_price, s.close_price, s.volume, s.daily_return, s.avg_price, s.volatility, s.prev_close, s.price_change_pct, s.rolling_avg_5d, s.volume_surge_ratio, s.candle_type, s.is_market_up, s.split_factor)
;

-- sql/publish/quarantine_to_commit.sql
SELECT symbol, trade_date, audit, detail, open_price, high_price, low_price, close_price, volume, unparsed_text, fetched_at, payload, load_id, contradicting_rows
FROM backend_staged.load_id__quarantined_prices__attempt AS s
WHERE trade_date NOT IN (SELECT session FROM (SELECT * FROM (VALUES (CAST(DATE '2012-03-07' AS date))) AS v ("session")) AS e)
UNION ALL
SELECT symbol, trade_date, audit, detail, open_price, high_price, low_price, close_price, volume, unparsed_text, fetched_at, payload, load_id, contradicting_rows
FROM backend_published.quarantined_prices FOR VERSION AS OF snapshot_id AS p
WHERE trade_date BETWEEN DATE '2012-03-06' AND DATE '2012-03-07'
  AND trade_date IN (SELECT session FROM (SELECT * FROM (VALUES (CAST(DATE '2012-03-07' AS date))) AS v ("session")) AS e)
;

-- sql/publish/removed.sql (and 6 other forms, SHA-256 e86ec3cca905c9e1)
SELECT symbol, trade_date, CAST('' AS VARCHAR) AS detail
FROM (
    SELECT symbol, trade_date, open_price, high_price, low_price, close_price, volume, daily_return, avg_price, volatility, prev_close, price_change_pct, rolling_avg_5d, volume_surge_ratio, candle_type, is_market_up, split_factor FROM backend_published.daily_prices FOR VERSION AS OF snapshot_id WHERE trade_date BETWEEN DATE '2012-03-02' AND DATE '2012-03-23'
    EXCEPT
    SELECT symbol, trade_date, open_price, high_price, low_price, close_price, volume, daily_return, avg_price, volatility, prev_close, price_change_pct, rolling_avg_5d, volume_surge_ratio, candle_type, is_market_up, split_factor FROM backend_staged.load_id__daily_prices__attempt AS s
) AS removed
;

-- sql/publish/rows_of_symbols.sql (and 1 other form, SHA-256 917d7e3a0645fe96)
SELECT
    symbol,
    COUNT(*)                    AS row_count,
    COUNT(DISTINCT trade_date)  AS sessions,
    MIN(trade_date)             AS first_date,
    MAX(trade_date)             AS last_date
FROM backend_published.quarantined_prices FOR VERSION AS OF snapshot_id AS p
WHERE symbol IN (SELECT symbol FROM (SELECT * FROM (VALUES (CAST('ORCL' AS varchar))) AS v ("symbol")) AS s)
GROUP BY symbol
;

-- queries of users and counts of rows
SELECT COUNT(*) AS n FROM backend_published.daily_prices FOR VERSION AS OF snapshot_id
;

-- queries of users and counts of rows
SELECT COUNT(*) AS n FROM backend_published.quarantined_prices FOR VERSION AS OF snapshot_id
;

-- queries of users and counts of rows
SELECT COUNT(*) AS n FROM (
SELECT * FROM "serve/adjusted_prices.sql"
)
;

-- queries of users and counts of rows
SELECT COUNT(*) AS n FROM (
SELECT * FROM "serve/price_trends.sql"
)
;

-- queries of users and counts of rows
SELECT COUNT(*) AS n FROM (
SELECT * FROM "serve/weekly_trends.sql"
)
;

-- queries of users and counts of rows
SELECT COUNT(*) AS n FROM (
SELECT * FROM "serve/candles.sql"
)
;

-- queries of users and counts of rows
SELECT COUNT(*) AS n FROM (
SELECT * FROM "serve/latest_board.sql"
)
;

-- queries of users and counts of rows
SELECT COUNT(*) AS n FROM (
SELECT * FROM "serve/movers.sql"
)
;

-- queries of users and counts of rows
SELECT COUNT(*) AS n FROM (
SELECT * FROM "serve/volume_surges.sql"
)
;

-- queries of users and counts of rows
SELECT COUNT(*) AS n FROM (
SELECT * FROM "serve/market_breadth.sql"
)
;

-- queries of users and counts of rows
SELECT COUNT(*) AS n FROM (
SELECT * FROM "serve/coverage.sql"
)
;

-- queries of users and counts of rows
SELECT COUNT(*) AS n FROM (
SELECT * FROM "serve/quarantine_by_audit.sql"
)
;

-- queries of users and counts of rows
SELECT COUNT(*) AS n FROM (
SELECT * FROM "serve/split_events.sql"
)
;

-- queries of users and counts of rows
SELECT COUNT(*) AS n FROM (
SELECT * FROM "serve/freshness.sql"
)
;

-- queries of users and counts of rows
SELECT symbol, volume_surge_ratio FROM backend_published.daily_prices FOR VERSION AS OF snapshot_id
;

-- sql/serve/adjusted_prices.sql (and 1 other form, SHA-256 1032cd7837e22118)
SELECT
    p.symbol,
    p.trade_date,
    p.open_price * (p.split_factor / l.latest_factor)  AS open_price,
    p.high_price * (p.split_factor / l.latest_factor)  AS high_price,
    p.low_price * (p.split_factor / l.latest_factor)   AS low_price,
    p.close_price * (p.split_factor / l.latest_factor) AS close_price,
    CAST(p.volume AS DOUBLE) * (l.latest_factor / p.split_factor) AS volume
FROM backend_published.daily_prices AS p
JOIN (
    SELECT symbol, MAX_BY(split_factor, trade_date) AS latest_factor
    FROM backend_published.daily_prices
    GROUP BY symbol
) AS l ON l.symbol = p.symbol
;

-- sql/serve/candles.sql (and 1 other form, SHA-256 31c038da9faa1f08)
SELECT symbol, trade_date, open_price, high_price, low_price, close_price, volume, is_market_up, candle_type
FROM backend_published.price_trends AS t
;

-- sql/serve/coverage.sql (and 1 other form, SHA-256 2d0e375ac22e4a43)
WITH bars AS (
    SELECT symbol, trade_date, MAX(is_published) AS is_published
    FROM (
        SELECT symbol, trade_date, 1 AS is_published FROM backend_published.daily_prices
        UNION ALL
        SELECT symbol, trade_date, 0 AS is_published FROM backend_published.quarantined_prices WHERE audit <> 'symbol_well_formed'
    ) AS everything
    GROUP BY symbol, trade_date
),
spans AS (
    SELECT symbol, MIN(trade_date) AS first_session, MAX(trade_date) AS last_session
    FROM bars
    GROUP BY symbol
),
sessions AS (
    SELECT
        trade_date,
        COUNT(CASE WHEN is_published = 1 THEN symbol END) AS published_symbols,
        COUNT(CASE WHEN is_published = 0 THEN symbol END) AS quarantined_symbols
    FROM bars
    GROUP BY trade_date
),
counted AS (
    SELECT s.trade_date, s.published_symbols, s.quarantined_symbols, COUNT(e.symbol) AS expected_symbols
    FROM sessions AS s
    JOIN spans AS e
        ON  e.first_session <= s.trade_date
        AND DATE_DIFF('day', e.last_session, s.trade_date) <= 30
    GROUP BY s.trade_date, s.published_symbols, s.quarantined_symbols
)
SELECT
    trade_date,
    expected_symbols,
    published_symbols,
    quarantined_symbols,
    expected_symbols - published_symbols - quarantined_symbols                     AS missing_symbols,
    CAST(published_symbols AS DOUBLE) / CAST(expected_symbols AS DOUBLE) * 1E2     AS coverage_pct,
    DATE_DIFF('day', LAG(trade_date) OVER (ORDER BY trade_date), trade_date)       AS days_since_previous
FROM counted
;

-- sql/serve/freshness.sql (and 1 other form, SHA-256 4bf24ff6e9d58910)
WITH latest AS (
    SELECT MAX(trade_date) AS latest_session
    FROM backend_published.daily_prices AS p
),
-- Days from Monday, 1970-01-05, to the day after the latest session, and to today.
counted AS (
    SELECT
        latest_session,
        CAST(DATE_DIFF('day', DATE '1970-01-05', latest_session) + 1 AS DOUBLE) AS from_day,
        CAST(DATE_DIFF('day', DATE '1970-01-05', CURRENT_DATE) AS DOUBLE)           AS to_day
    FROM latest
)
SELECT
    latest_session,
    DATE_DIFF('day', latest_session, CURRENT_DATE) AS days_old,
    CASE WHEN latest_session >= CURRENT_DATE THEN 0 ELSE CAST(
        (5E0 * FLOOR(to_day / 7E0) + LEAST(to_day - 7E0 * FLOOR(to_day / 7E0), 5E0))
        - (5E0 * FLOOR(from_day / 7E0) + LEAST(from_day - 7E0 * FLOOR(from_day / 7E0), 5E0))
        AS BIGINT
    ) END AS weekdays_missed
FROM counted
;

-- sql/serve/latest_board.sql (and 1 other form, SHA-256 72a6859830f52d54)
WITH ranked AS (
    SELECT t.*, ROW_NUMBER() OVER (PARTITION BY symbol ORDER BY trade_date DESC) AS age
    FROM backend_published.price_trends AS t
),
latest AS (
    -- Not a window over all rows: a condition on symbols could not pass it.
    SELECT MAX(trade_date) AS latest_session
    FROM backend_published.price_trends AS t
)
SELECT
    symbol,
    trade_date,
    trade_date = latest_session AS is_latest,
    close_price,
    price_change_pct,
    daily_return,
    avg_price_90d,
    volatility_pct,
    volume,
    volume_surge_ratio,
    candle_type,
    is_market_up
FROM ranked
CROSS JOIN latest
WHERE age = 1
;

-- sql/serve/market_breadth.sql (and 1 other form, SHA-256 b5cdd26ca8928e78)
SELECT
    trade_date,
    COUNT(*)                                                    AS symbols,
    COUNT(CASE WHEN is_market_up THEN symbol END)               AS up_symbols,
    CAST(COUNT(CASE WHEN is_market_up THEN symbol END) AS DOUBLE) / CAST(COUNT(*) AS DOUBLE) * 1E2 AS up_share_pct,
    COUNT(CASE WHEN price_change_pct > 0E0 THEN symbol END)     AS advancers,
    COUNT(CASE WHEN price_change_pct < 0E0 THEN symbol END)     AS decliners
FROM backend_published.daily_prices AS p
GROUP BY trade_date
;

-- sql/serve/movers.sql (and 1 other form, SHA-256 bc87bbbffd1c8b9a)
SELECT
    symbol,
    trade_date,
    close_price,
    price_change_pct,
    RANK() OVER (PARTITION BY trade_date ORDER BY price_change_pct DESC) AS gain_rank,
    RANK() OVER (PARTITION BY trade_date ORDER BY price_change_pct)      AS loss_rank
FROM backend_published.daily_prices AS p
WHERE price_change_pct IS NOT NULL
;

-- sql/serve/panels/audit_failures.sql
SELECT CAST(trade_date AS TIMESTAMP) AS time, audit, bars
FROM (
SELECT * FROM "serve/quarantine_by_audit.sql"
) AS q
WHERE trade_date > DATE '2011-03-06'
ORDER BY time, audit
;

-- sql/serve/panels/average_price.sql
SELECT CAST(trade_date AS TIMESTAMP) AS time, symbol, avg_price_90d
FROM backend_published.price_trends AS t
WHERE 1 = 1 AND 1 = 1
ORDER BY time, symbol
;

-- sql/serve/panels/board.sql
WITH latest AS (
    SELECT symbol, MAX(trade_date) AS latest_session
    FROM (
SELECT * FROM "serve/price_trends.sql"
) AS t
    WHERE 1 = 1
    GROUP BY symbol
),
reference AS (
    SELECT
        symbol,
        latest_session,
        DATE_ADD('day', -7, latest_session)                     AS week_before,
        DATE_ADD('month', -1, latest_session)                   AS month_before,
        DATE_ADD('month', -12, latest_session)                  AS year_before,
        DATE_ADD('day', -1, DATE_TRUNC('year', latest_session)) AS end_of_last_year,
        DATE_ADD('day', -364, latest_session)                   AS before_52_weeks
    FROM latest
),
closes AS (
    SELECT
        t.symbol,
        COUNT(*)                                                                                AS sessions,
        MAX_BY(t.close_price, t.trade_date)                                                     AS last_close,
        MAX_BY(t.close_price, t.trade_date) FILTER (WHERE t.trade_date <= r.week_before)        AS close_1w,
        MAX_BY(t.close_price, t.trade_date) FILTER (WHERE t.trade_date <= r.month_before)       AS close_1m,
        MAX_BY(t.close_price, t.trade_date) FILTER (WHERE t.trade_date <= r.end_of_last_year)   AS close_ytd,
        MAX_BY(t.close_price, t.trade_date) FILTER (WHERE t.trade_date <= r.year_before)        AS close_1y,
        MIN(t.low_price) FILTER (WHERE t.trade_date > r.before_52_weeks)                        AS low_52w,
        MAX(t.high_price) FILTER (WHERE t.trade_date > r.before_52_weeks)                       AS high_52w
    FROM (SELECT * FROM (
SELECT * FROM "serve/price_trends.sql"
) AS every WHERE 1 = 1) AS t
    JOIN reference AS r ON r.symbol = t.symbol
    GROUP BY t.symbol
)
SELECT
    b.symbol,
    b.trade_date,
    b.is_latest,
    b.close_price,
    b.price_change_pct,
    (c.last_close / c.close_1w - 1E0) * 1E2     AS return_1w_pct,
    (c.last_close / c.close_1m - 1E0) * 1E2     AS return_1m_pct,
    (c.last_close / c.close_ytd - 1E0) * 1E2    AS return_ytd_pct,
    (c.last_close / c.close_1y - 1E0) * 1E2     AS return_1y_pct,
    c.low_52w,
    c.high_52w,
    b.avg_price_90d,
    b.volatility_pct,
    b.volume,
    b.volume_surge_ratio,
    c.sessions
FROM (SELECT * FROM (
SELECT * FROM "serve/latest_board.sql"
) AS every WHERE 1 = 1) AS b
JOIN closes AS c ON c.symbol = b.symbol
ORDER BY b.symbol
;

-- sql/serve/panels/candlesticks.sql
SELECT
    CAST(trade_date AS TIMESTAMP) AS time,
    symbol,
    open_price                    AS open,
    high_price                    AS high,
    low_price                     AS low,
    close_price                   AS close
FROM backend_published.candles AS c
WHERE 1 = 1 AND 1 = 1
ORDER BY time, symbol
;

-- sql/serve/panels/close_and_average.sql
SELECT CAST(trade_date AS TIMESTAMP) AS time, symbol, close_price, rolling_avg_5d
FROM backend_published.price_trends AS t
WHERE 1 = 1 AND 1 = 1
ORDER BY time, symbol
;

-- sql/serve/panels/comparison.sql
SELECT
    CAST(trade_date AS TIMESTAMP) AS time,
    symbol,
    close_price / FIRST_VALUE(close_price) OVER (PARTITION BY symbol ORDER BY trade_date) * 1E2 AS close_rebased
FROM backend_published.price_trends AS t
WHERE 1 = 1 AND 1 = 1
ORDER BY time, symbol
;

-- sql/serve/panels/correlations.sql
WITH changes AS (
    SELECT symbol, trade_date, price_change_pct
    FROM (
SELECT * FROM "serve/price_trends.sql"
) AS t
    WHERE price_change_pct IS NOT NULL AND trade_date > DATE '2011-03-06' AND symbol IN ('AAPL', 'CSCO', 'IBM', 'MSFT', 'ORCL')
)
SELECT
    a.symbol,
    b.symbol                                                                            AS other_symbol,
    COUNT(*)                                                                            AS sessions,
    CASE WHEN COUNT(*) >= 20 THEN CORR(a.price_change_pct, b.price_change_pct) END      AS correlation
FROM changes AS a
JOIN changes AS b ON b.trade_date = a.trade_date AND a.symbol < b.symbol
GROUP BY a.symbol, b.symbol
ORDER BY symbol, other_symbol
;

-- sql/serve/panels/coverage.sql
SELECT CAST(trade_date AS TIMESTAMP) AS time, coverage_pct, expected_symbols, published_symbols
FROM (
SELECT * FROM "serve/coverage.sql"
) AS c
WHERE 1 = 1
ORDER BY time
;

-- sql/serve/panels/daily_return.sql
SELECT CAST(trade_date AS TIMESTAMP) AS time, symbol, daily_return
FROM backend_published.price_trends AS t
WHERE 1 = 1 AND 1 = 1
ORDER BY time, symbol
;

-- sql/serve/panels/freshness.sql
SELECT latest_session, days_old, weekdays_missed
FROM backend_published.freshness AS f
;

-- sql/serve/panels/incomplete_sessions.sql
SELECT
    trade_date,
    expected_symbols,
    published_symbols,
    quarantined_symbols,
    missing_symbols,
    days_since_previous
FROM backend_published.coverage AS c
WHERE 1 = 1
    AND (
        coverage_pct < 1E2
        OR (days_since_previous > 4 AND trade_date NOT IN (DATE 'day', DATE 'day', DATE '2012-10-31'))
    )
ORDER BY trade_date DESC
LIMIT 100
;

-- sql/serve/panels/latest_board.sql
SELECT
    symbol,
    trade_date,
    close_price,
    price_change_pct,
    daily_return,
    avg_price_90d,
    volatility_pct,
    volume,
    volume_surge_ratio,
    candle_type,
    is_latest
FROM backend_published.latest_board AS b
WHERE 1 = 1
ORDER BY symbol
;

-- sql/serve/panels/latest_coverage.sql
SELECT MAX_BY(coverage_pct, trade_date) AS coverage_pct
FROM backend_published.coverage AS c
;

-- sql/serve/panels/market_breadth.sql
SELECT CAST(trade_date AS TIMESTAMP) AS time, up_share_pct, up_symbols, symbols
FROM (
SELECT * FROM "serve/market_breadth.sql"
) AS b
WHERE 1 = 1
ORDER BY time
;

-- sql/serve/panels/movers.sql
SELECT symbol, price_change_pct, close_price, trade_date
FROM backend_published.movers AS m
WHERE trade_date = (SELECT MAX(trade_date) FROM backend_published.movers AS latest)
ORDER BY gain_rank, symbol
;

-- sql/serve/panels/price_history.sql
SELECT time, symbol, open, high, low, close, volume, adjustment, daily_return, avg_price_90d, rolling_avg_5d,
    volatility_pct, volatility_21d_pct, volume_surge_ratio
FROM (
    SELECT
        CAST(p.trade_date AS TIMESTAMP)     AS time,
        p.symbol,
        p.trade_date,
        p.open_price                        AS open,
        p.high_price                        AS high,
        p.low_price                         AS low,
        p.close_price                       AS close,
        p.volume,
        p.split_factor / l.latest_factor    AS adjustment,
        t.daily_return,
        t.avg_price_90d,
        t.rolling_avg_5d,
        t.volatility_pct,
        t.volatility_21d_pct,
        t.volume_surge_ratio
    FROM backend_published.daily_prices FOR VERSION AS OF snapshot_id AS p
    JOIN (SELECT * FROM (
SELECT * FROM "serve/price_trends.sql"
) AS every WHERE 1 = 1) AS t
        ON  t.symbol = p.symbol
        AND t.trade_date = p.trade_date
    JOIN (
        SELECT symbol, MAX_BY(split_factor, trade_date) AS latest_factor
        FROM backend_published.daily_prices FOR VERSION AS OF snapshot_id
        GROUP BY symbol
    ) AS l ON l.symbol = p.symbol
) AS h
WHERE 1 = 1 AND 1 = 1
ORDER BY symbol, time
;

-- sql/serve/panels/quarantined_bars.sql
SELECT trade_date, symbol, audit, detail, load_id
FROM backend_published.quarantined_prices FOR VERSION AS OF snapshot_id AS q
WHERE trade_date > DATE '2011-03-06'
ORDER BY trade_date DESC, symbol, audit
LIMIT 100
;

-- sql/serve/panels/splits.sql
SELECT CAST(trade_date AS TIMESTAMP) AS time, symbol, split_ratio
FROM (
SELECT * FROM "serve/split_events.sql"
) AS s
WHERE 1 = 1 AND 1 = 1
ORDER BY time, symbol
;

-- sql/serve/panels/symbols.sql
SELECT symbol
FROM backend_published.latest_board AS b
ORDER BY symbol
;

-- sql/serve/panels/volatility.sql
SELECT CAST(trade_date AS TIMESTAMP) AS time, symbol, volatility_pct, volatility_21d_pct
FROM backend_published.price_trends AS t
WHERE 1 = 1 AND 1 = 1
ORDER BY time, symbol
;

-- sql/serve/panels/volume.sql
SELECT CAST(trade_date AS TIMESTAMP) AS time, symbol, volume, volume_surge_ratio
FROM backend_published.price_trends AS t
WHERE 1 = 1 AND 1 = 1
ORDER BY time, symbol
;

-- sql/serve/panels/volume_surges.sql
SELECT trade_date, symbol, volume, usual_volume, volume_surge_ratio, price_change_pct
FROM (
SELECT * FROM "serve/volume_surges.sql"
) AS v
WHERE trade_date > DATE '2011-03-06' AND 1 = 1
ORDER BY trade_date DESC, volume_surge_ratio DESC
LIMIT 100
;

-- sql/serve/price_trends.sql (and 1 other form, SHA-256 9db99bf583d37616)
WITH latest AS (
    SELECT symbol, MIN(trade_date) AS first_session, MAX_BY(split_factor, trade_date) AS latest_factor
    FROM backend_published.daily_prices
    GROUP BY symbol
),
based AS (
    SELECT
        p.symbol,
        p.trade_date,
        p.open_price * (p.split_factor / l.latest_factor)              AS open_price,
        p.high_price * (p.split_factor / l.latest_factor)              AS high_price,
        p.low_price * (p.split_factor / l.latest_factor)               AS low_price,
        p.close_price * (p.split_factor / l.latest_factor)             AS close_price,
        CAST(p.volume AS DOUBLE) * (l.latest_factor / p.split_factor)  AS volume,
        p.daily_return * (p.split_factor / l.latest_factor)            AS daily_return,
        p.avg_price * (p.split_factor / l.latest_factor)               AS avg_price,
        p.rolling_avg_5d * (p.split_factor / l.latest_factor)          AS rolling_avg_5d,
        p.volatility,
        p.price_change_pct,
        p.volume_surge_ratio,
        p.candle_type,
        p.is_market_up,
        p.close_price                                                  AS close_as_traded,
        DATE_DIFF('day', l.first_session, p.trade_date)                AS days_listed
    FROM backend_published.daily_prices AS p
    JOIN latest AS l ON l.symbol = p.symbol
)
SELECT
    symbol,
    trade_date,
    open_price,
    high_price,
    low_price,
    close_price,
    volume,
    daily_return,
    avg_price,
    CASE WHEN days_listed >= 89 THEN AVG(avg_price) OVER last_90_days END AS avg_price_90d,
    rolling_avg_5d,
    SQRT(volatility) * 1E2                                                AS volatility_pct,
    CASE WHEN COUNT(*) OVER last_21_sessions = 21 AND days_listed - MIN(days_listed) OVER last_21_sessions <= 42
         THEN SQRT(AVG(volatility) OVER last_21_sessions) * 1E2 END       AS volatility_21d_pct,
    price_change_pct,
    volume_surge_ratio,
    candle_type,
    is_market_up,
    close_as_traded
FROM based
WINDOW
    last_90_days AS (PARTITION BY symbol ORDER BY days_listed RANGE BETWEEN 89 PRECEDING AND CURRENT ROW),
    last_21_sessions AS (PARTITION BY symbol ORDER BY days_listed ROWS BETWEEN 20 PRECEDING AND CURRENT ROW)
;

-- sql/serve/quarantine_by_audit.sql (and 1 other form, SHA-256 8746eafd35e1c916)
SELECT trade_date, audit, COUNT(*) AS bars
FROM backend_published.quarantined_prices AS q
GROUP BY trade_date, audit
;

-- sql/serve/split_events.sql (and 1 other form, SHA-256 65bcab51585d8ae3)
WITH factors AS (
    SELECT
        symbol,
        trade_date,
        split_factor / LAG(split_factor) OVER (PARTITION BY symbol ORDER BY trade_date) AS split_ratio
    FROM backend_published.daily_prices AS p
)
SELECT symbol, trade_date, split_ratio
FROM factors
WHERE split_ratio <> 1E0
;

-- sql/serve/summary.sql
WITH latest AS (
    SELECT
        symbol,
        COUNT(*)                          AS row_count,
        MIN(trade_date)                   AS first_session,
        MAX(trade_date)                   AS last_session,
        MAX_BY(close_price, trade_date)   AS last_close,
        MAX_BY(volume, trade_date)        AS last_volume,
        MAX_BY(split_factor, trade_date)  AS latest_factor
    FROM backend_published.daily_prices FOR VERSION AS OF snapshot_id
    GROUP BY symbol
),
averages AS (
    SELECT
        p.symbol,
        CASE WHEN DATE_DIFF('day', MIN(l.first_session), MIN(l.last_session)) >= 89
             THEN AVG(p.avg_price * (p.split_factor / l.latest_factor)) END AS avg_price_90d
    FROM backend_published.daily_prices FOR VERSION AS OF snapshot_id AS p
    JOIN latest AS l ON l.symbol = p.symbol
    WHERE DATE_DIFF('day', p.trade_date, l.last_session) < 90
    GROUP BY p.symbol
),
quarantine AS (
    SELECT symbol, COUNT(DISTINCT trade_date) AS quarantined
    FROM backend_published.quarantined_prices FOR VERSION AS OF snapshot_id
    GROUP BY symbol
)
SELECT
    COALESCE(l.symbol, q.symbol)   AS symbol,
    COALESCE(l.row_count, 0)       AS row_count,
    l.first_session,
    l.last_session,
    COALESCE(q.quarantined, 0)     AS quarantined,
    l.last_close,
    a.avg_price_90d,
    l.last_volume
FROM latest AS l
LEFT JOIN averages AS a ON a.symbol = l.symbol
FULL OUTER JOIN quarantine AS q ON q.symbol = l.symbol
ORDER BY symbol
;

-- sql/serve/volume_surges.sql (and 1 other form, SHA-256 4968d874030fa365)
WITH traded AS (
    SELECT p.*, CAST(volume AS DOUBLE) AS shares
    FROM backend_published.daily_prices AS p
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
;

-- sql/serve/weekly_trends.sql (and 1 other form, SHA-256 1fab74e8a1473537)
WITH weeks AS (
    SELECT
        symbol,
        MAX(trade_date)                                 AS trade_date,
        MIN_BY(open_price, trade_date)                  AS open_price,
        MAX(high_price)                                 AS high_price,
        MIN(low_price)                                  AS low_price,
        MAX_BY(close_price, trade_date)                 AS close_price,
        SUM(volume)                                     AS volume,
        AVG(avg_price)                                  AS avg_price,
        MAX_BY(avg_price_90d, trade_date)               AS avg_price_90d,
        MAX_BY(rolling_avg_5d, trade_date)              AS rolling_avg_5d,
        SQRT(AVG(volatility_pct * volatility_pct))      AS volatility_pct,
        MAX_BY(volatility_21d_pct, trade_date)          AS volatility_21d_pct,
        MAX(volume_surge_ratio)                         AS volume_surge_ratio,
        MAX_BY(close_as_traded, trade_date)             AS close_as_traded
    FROM backend_published.price_trends AS t
    GROUP BY symbol, DATE_TRUNC('week', trade_date)
)
SELECT
    symbol,
    trade_date,
    open_price,
    high_price,
    low_price,
    close_price,
    volume,
    close_price - open_price                            AS daily_return,
    avg_price,
    avg_price_90d,
    rolling_avg_5d,
    volatility_pct,
    volatility_21d_pct,
    (close_price - LAG(close_price) OVER w) / NULLIF(LAG(close_price) OVER w, 0E0) * 1E2 AS price_change_pct,
    volume_surge_ratio,
    close_price > open_price                            AS is_market_up,
    close_as_traded
FROM weeks
WINDOW w AS (PARTITION BY symbol ORDER BY trade_date)
;

-- sql/stage/daily_prices.sql (and 6 other forms, SHA-256 fdef742f8ee11dcd)
WITH excluded AS (
    SELECT session FROM (SELECT * FROM "stage/excluded_sessions.sql") AS e
),
bars AS (
    SELECT t.symbol, t.trade_date, t.open_price, t.high_price, t.low_price, t.close_price, t.volume
    FROM backend_staged.load_id__typed_prices__attempt AS t
    LEFT JOIN backend_staged.load_id__quarantined_prices__attempt AS q ON q.symbol = t.symbol AND q.trade_date = t.trade_date
    WHERE q.symbol IS NULL
      AND t.trade_date NOT IN (SELECT session FROM excluded)
    UNION ALL
    SELECT symbol, trade_date, open_price, high_price, low_price, close_price, volume
    FROM (SELECT CAST(NULL AS varchar) AS symbol, CAST(NULL AS date) AS trade_date, CAST(NULL AS double) AS open_price, CAST(NULL AS double) AS high_price, CAST(NULL AS double) AS low_price, CAST(NULL AS double) AS close_price, CAST(NULL AS bigint) AS volume, CAST(NULL AS double) AS daily_return, CAST(NULL AS double) AS avg_price, CAST(NULL AS double) AS volatility, CAST(NULL AS double) AS prev_close, CAST(NULL AS double) AS price_change_pct, CAST(NULL AS double) AS rolling_avg_5d, CAST(NULL AS double) AS volume_surge_ratio, CAST(NULL AS varchar) AS candle_type, CAST(NULL AS boolean) AS is_market_up, CAST(NULL AS double) AS split_factor WHERE FALSE)
    WHERE trade_date BETWEEN DATE '2011-05-11' AND DATE '2012-03-22'
      AND (NOT trade_date BETWEEN DATE '2011-06-01' AND DATE '2012-03-01'
           OR trade_date IN (SELECT session FROM excluded))
),
prices AS (
    SELECT
        b.*,
        -- NULL outside every listing: these rows look back only at each other.
        l.first_session                  AS listed_since,
        CAST(b.volume AS DOUBLE)         AS shares,
        COALESCE(f.split_factor, 1E0)    AS split_factor
    FROM bars AS b
    LEFT JOIN (SELECT CAST(NULL AS varchar) AS "symbol", CAST(NULL AS date) AS "ex_date", CAST(NULL AS date) AS "next_ex_date", CAST(NULL AS double) AS "split_ratio", CAST(NULL AS double) AS "split_factor" WHERE FALSE) AS f
        ON  f.symbol = b.symbol
        AND f.ex_date <= b.trade_date
        AND (f.next_ex_date IS NULL OR b.trade_date < f.next_ex_date)
    LEFT JOIN (SELECT * FROM (VALUES (CAST('AAPL' AS varchar), CAST(DATE '0001-01-01' AS date), CAST(NULL AS date)), ('CSCO', DATE '0001-01-01', NULL), ('IBM', DATE '0001-01-01', NULL), ('MSFT', DATE '0001-01-01', NULL), ('ORCL', DATE '0001-01-01', NULL)) AS v ("symbol", "first_session", "last_session")) AS l
        ON  l.symbol = b.symbol
        AND l.first_session <= b.trade_date
        AND (l.last_session IS NULL OR b.trade_date <= l.last_session)
),
-- Look-back values are split-adjusted as of the row's date (point in time): a price of an earlier day d, seen from the
-- row's day T, is p(d) * factor(d) / factor(T); a volume is v(d) * factor(T) / factor(d). The factors are divided first:
-- without a split between them the quotient is exactly 1, and the value is exactly the traded one.
looked_back AS (
    SELECT
        prices.*,
        LAG(trade_date, 1) OVER w AS session_1,
        LAG(trade_date, 4) OVER w AS session_4,
        LAG(trade_date, 7) OVER w AS session_7,
        LAG(close_price, 1) OVER w * (LAG(split_factor, 1) OVER w / split_factor) AS close_1,
        LAG(close_price, 2) OVER w * (LAG(split_factor, 2) OVER w / split_factor) AS close_2,
        LAG(close_price, 3) OVER w * (LAG(split_factor, 3) OVER w / split_factor) AS close_3,
        LAG(close_price, 4) OVER w * (LAG(split_factor, 4) OVER w / split_factor) AS close_4,
        LAG(shares, 1) OVER w * (split_factor / LAG(split_factor, 1) OVER w) AS shares_1,
        LAG(shares, 2) OVER w * (split_factor / LAG(split_factor, 2) OVER w) AS shares_2,
        LAG(shares, 3) OVER w * (split_factor / LAG(split_factor, 3) OVER w) AS shares_3,
        LAG(shares, 4) OVER w * (split_factor / LAG(split_factor, 4) OVER w) AS shares_4,
        LAG(shares, 5) OVER w * (split_factor / LAG(split_factor, 5) OVER w) AS shares_5,
        LAG(shares, 6) OVER w * (split_factor / LAG(split_factor, 6) OVER w) AS shares_6,
        LAG(shares, 7) OVER w * (split_factor / LAG(split_factor, 7) OVER w) AS shares_7
    FROM prices
    WINDOW w AS (PARTITION BY symbol, listed_since ORDER BY trade_date)
),
guarded AS (
    SELECT
        looked_back.*,
        CASE WHEN DATE_DIFF('day', session_1, trade_date) <= 21 THEN close_1 END AS prev_close,
        CASE WHEN DATE_DIFF('day', session_4, trade_date) <= 21
             THEN (close_price + close_1 + close_2 + close_3 + close_4) / 5E0 END AS rolling_avg_5d,
        CASE WHEN DATE_DIFF('day', session_7, trade_date) <= 21
             THEN (shares_1 + shares_2 + shares_3 + shares_4 + shares_5 + shares_6 + shares_7) / 7E0 END
            AS mean_shares_7,
        -- Whole ten-thousandths: in doubles a body of exactly a tenth of the range could be on either side of the
        -- threshold, and decimals that engines convert from doubles differ in the last digit.
        CAST(ROUND(open_price * 1E4) AS BIGINT)        AS open_units,
        CAST(ROUND(high_price * 1E4) AS BIGINT)        AS high_units,
        CAST(ROUND(low_price * 1E4) AS BIGINT)         AS low_units,
        CAST(ROUND(close_price * 1E4) AS BIGINT)       AS close_units
    FROM looked_back
    WHERE trade_date BETWEEN DATE '2011-06-01' AND DATE '2012-03-22'
),
shaped AS (
    SELECT
        guarded.*,
        ABS(close_units - open_units)                  AS body,
        high_units - low_units                         AS bar_range,
        high_units - GREATEST(open_units, close_units) AS upper_wick,
        LEAST(open_units, close_units) - low_units     AS lower_wick,
        -- The last bits of a logarithm differ between engines; 13 decimals are the same on all engines.
        CASE WHEN open_price > 0E0 AND high_price > 0E0 AND low_price > 0E0 AND close_price > 0E0
             THEN ROUND(LN(high_price / low_price), 13) END AS log_range,
        CASE WHEN open_price > 0E0 AND high_price > 0E0 AND low_price > 0E0 AND close_price > 0E0
             THEN ROUND(LN(close_price / open_price), 13) END AS log_body
    FROM guarded
)
SELECT
    symbol,
    trade_date,
    open_price,
    high_price,
    low_price,
    close_price,
    volume,
    close_price - open_price                                       AS daily_return,
    (open_price + high_price + low_price + close_price) / 4E0      AS avg_price,
    -- The second factor is 2 ln 2 - 1.
    5E-1 * log_range * log_range - 3.8629436111989061E-1 * log_body * log_body AS volatility,
    prev_close,
    (close_price - prev_close) / NULLIF(prev_close, 0E0) * 1E2     AS price_change_pct,
    rolling_avg_5d,
    shares / NULLIF(mean_shares_7, 0E0)                            AS volume_surge_ratio,
    CAST(CASE
        WHEN bar_range <= 0                                         THEN 'flat'
        WHEN 10 * body <= bar_range                                 THEN 'doji'
        WHEN lower_wick >= 2 * body AND 2 * upper_wick <= body      THEN 'hammer'
        WHEN upper_wick >= 2 * body AND 2 * lower_wick <= body      THEN 'shooting_star'
        WHEN 10 * body >= 9 * bar_range                             THEN 'marubozu'
        WHEN close_price > open_price                               THEN 'bullish'
        ELSE 'bearish'
    END AS VARCHAR)                                                AS candle_type,
    close_price > open_price                                       AS is_market_up,
    split_factor
FROM shaped
;

-- sql/stage/excluded_sessions.sql
SELECT DISTINCT trade_date AS session
FROM (SELECT * FROM "audit/named.sql"
UNION ALL
SELECT * FROM "audit/named.sql") AS f
;

-- sql/stage/preview_prices.sql (and 5 other forms, SHA-256 f1a4affb09c75b21)
SELECT
    symbol, trade_date, close_price, prev_close, price_change_pct, rolling_avg_5d, volume_surge_ratio, candle_type,
    COUNT(*) OVER () AS rows_of_session
FROM backend_staged.load_id__daily_prices__attempt AS s
WHERE trade_date = (SELECT MAX(trade_date) FROM backend_staged.load_id__daily_prices__attempt AS l WHERE trade_date <= DATE '2012-03-01')
ORDER BY symbol
LIMIT 50
;

-- sql/stage/preview_quarantine.sql
SELECT symbol, trade_date, audit, detail, payload
FROM backend_staged.load_id__quarantined_prices__attempt AS q
ORDER BY trade_date, symbol, audit
LIMIT 20
;

-- sql/stage/quarantined_prices.sql (and 6 other forms, SHA-256 77b134eb5cf1f03c)
WITH failures AS (
    SELECT DISTINCT audit, symbol, trade_date, detail
    FROM (SELECT * FROM "audit/named.sql"
UNION ALL
SELECT * FROM "audit/named.sql"
UNION ALL
SELECT * FROM "audit/named.sql"
UNION ALL
SELECT * FROM "audit/named.sql"
UNION ALL
SELECT * FROM "audit/named.sql"
UNION ALL
SELECT * FROM "audit/named.sql"
UNION ALL
SELECT * FROM "audit/named.sql"
UNION ALL
SELECT * FROM "audit/named.sql"
UNION ALL
SELECT * FROM "audit/named.sql"
UNION ALL
SELECT * FROM "audit/named.sql"
UNION ALL
SELECT * FROM "audit/named.sql") AS f
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
        SELECT * FROM backend_staged.load_id__typed_prices__attempt AS b WHERE symbol IN (SELECT symbol FROM failures)
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
    COALESCE(k.load_id, 'load_id') AS load_id,
    q.contradicting_rows
FROM quarantined AS q
LEFT JOIN (SELECT CAST(NULL AS varchar) AS symbol, CAST(NULL AS date) AS trade_date, CAST(NULL AS varchar) AS audit, CAST(NULL AS varchar) AS detail, CAST(NULL AS double) AS open_price, CAST(NULL AS double) AS high_price, CAST(NULL AS double) AS low_price, CAST(NULL AS double) AS close_price, CAST(NULL AS bigint) AS volume, CAST(NULL AS varchar) AS unparsed_text, CAST(NULL AS timestamp(6)) AS fetched_at, CAST(NULL AS varchar) AS payload, CAST(NULL AS varchar) AS load_id, CAST(NULL AS varchar) AS contradicting_rows WHERE FALSE) AS k
    ON  k.symbol = q.symbol
    AND k.trade_date = q.trade_date
    AND k.audit = q.audit
    AND k.payload = q.payload
    -- All rows of q lie in this range; the condition is repeated so that an engine reads only these partitions.
    AND k.trade_date BETWEEN DATE '2011-06-01' AND DATE '2012-03-01'
;

-- sql/stage/raw_rows.sql (and 1 other form, SHA-256 511012c71fcb5c27)
WITH fields AS (
    SELECT
        COALESCE(SPLIT_PART(line, ',', 1), '')                                                      AS date_text,
        COALESCE(TRIM(BOTH ' ' FROM COALESCE(SPLIT_PART(line, ',', 2), '')), '')                    AS open_text,
        COALESCE(TRIM(BOTH ' ' FROM COALESCE(SPLIT_PART(line, ',', 3), '')), '')                    AS high_text,
        COALESCE(TRIM(BOTH ' ' FROM COALESCE(SPLIT_PART(line, ',', 4), '')), '')                    AS low_text,
        COALESCE(TRIM(BOTH ' ' FROM COALESCE(SPLIT_PART(line, ',', 5), '')), '')                    AS close_text,
        COALESCE(TRIM(BOTH ' ' FROM
            COALESCE(REGEXP_EXTRACT(line, '^(?:[^,]*,){5}([\s\S]*)', 1), '')), '')                  AS volume_text,
        "$path"
    FROM (SELECT line, "$path" FROM backend_raw.daily_price_lines WHERE ingest_date IN ('day') AND "$path" IN ('s3://stock-assets-tests/tests/backend/raw/daily_prices/ingest_date=day/timestamp/ORCL.csv', 's3://stock-assets-tests/tests/backend/raw/daily_prices/ingest_date=day/timestamp/MSFT.csv', 's3://stock-assets-tests/tests/backend/raw/daily_prices/ingest_date=day/timestamp/IBM.csv', 's3://stock-assets-tests/tests/backend/raw/daily_prices/ingest_date=day/timestamp/CSCO.csv', 's3://stock-assets-tests/tests/backend/raw/daily_prices/ingest_date=day/timestamp/AAPL.csv')) AS l
    WHERE TRIM(BOTH ' ' FROM line) <> ''
),
numbers AS (
    SELECT
        f.*,
        CASE WHEN REGEXP_LIKE(TRIM(BOTH ' ' FROM date_text), '^[0-9]{4}-[0-9]{2}-[0-9]{2}$')
             THEN TRY_CAST(TRIM(BOTH ' ' FROM date_text) AS DATE) END AS trade_date,
        CASE WHEN REGEXP_LIKE(open_text, '^-?[0-9]{1,12}([.][0-9]{1,20})?$')
             THEN TRY_CAST(open_text AS DOUBLE) END AS open_price,
        CASE WHEN REGEXP_LIKE(high_text, '^-?[0-9]{1,12}([.][0-9]{1,20})?$')
             THEN TRY_CAST(high_text AS DOUBLE) END AS high_price,
        CASE WHEN REGEXP_LIKE(low_text, '^-?[0-9]{1,12}([.][0-9]{1,20})?$')
             THEN TRY_CAST(low_text AS DOUBLE) END AS low_price,
        CASE WHEN REGEXP_LIKE(close_text, '^-?[0-9]{1,12}([.][0-9]{1,20})?$')
             THEN TRY_CAST(close_text AS DOUBLE) END AS close_price,
        CASE WHEN REGEXP_LIKE(volume_text, '^-?[0-9]+$') THEN TRY_CAST(volume_text AS BIGINT) END AS volume
    FROM fields AS f
)
SELECT
    trade_date,
    open_price,
    high_price,
    low_price,
    close_price,
    volume,
    -- The condition avoids building a text for every row.
    CASE WHEN open_price IS NULL OR high_price IS NULL OR low_price IS NULL OR close_price IS NULL OR volume IS NULL
         THEN NULLIF(CONCAT_WS(', ',
            CASE WHEN open_price IS NULL AND open_text <> '' THEN 'open=' || open_text END,
            CASE WHEN high_price IS NULL AND high_text <> '' THEN 'high=' || high_text END,
            CASE WHEN low_price IS NULL AND low_text <> '' THEN 'low=' || low_text END,
            CASE WHEN close_price IS NULL AND close_text <> '' THEN 'close=' || close_text END,
            CASE WHEN volume IS NULL AND volume_text <> '' THEN 'volume=' || volume_text END
         ), '') END AS unparsed_text,
    date_text,
    open_text || ',' || high_text || ',' || low_text || ',' || close_text || ',' || volume_text AS bar_text,
    "$path"
FROM numbers
;

-- sql/stage/report.sql
WITH findings AS (
    SELECT * FROM "audit/named.sql"
UNION ALL
SELECT * FROM "audit/named.sql"
),
excluded AS (
    SELECT DISTINCT trade_date AS session FROM findings
)
SELECT
    'session'              AS part,
    s.trade_date,
    s.symbols,
    s.published_rows,
    s.quarantined,
    COALESCE(d.digest, 0)  AS digest,
    CAST(NULL AS VARCHAR)  AS symbol,
    CAST(NULL AS DOUBLE)   AS close_price,
    CAST(NULL AS DOUBLE)   AS prev_close,
    CAST(NULL AS DOUBLE)   AS price_change_pct,
    CAST(NULL AS DOUBLE)   AS rolling_avg_5d,
    CAST(NULL AS DOUBLE)   AS volume_surge_ratio,
    CAST(NULL AS VARCHAR)  AS candle_type,
    CAST(NULL AS VARCHAR)  AS audit,
    CAST(NULL AS VARCHAR)  AS detail,
    CAST(NULL AS VARCHAR)  AS payload
FROM (SELECT * FROM "stage/sessions.sql") AS s
LEFT JOIN (SELECT * FROM "stage/session_digests.sql") AS d ON d.trade_date = s.trade_date
UNION ALL
SELECT
    'price' AS part, trade_date, NULL, rows_of_session, NULL, NULL,
    symbol, close_price, prev_close, price_change_pct, rolling_avg_5d, volume_surge_ratio, candle_type,
    NULL, NULL, NULL
FROM (SELECT * FROM "stage/preview_prices.sql") AS p
UNION ALL
SELECT
    'quarantine' AS part, trade_date, NULL, NULL, NULL, NULL,
    symbol, NULL, NULL, NULL, NULL, NULL, NULL,
    audit, detail, payload
FROM (SELECT * FROM "stage/preview_quarantine.sql") AS q
UNION ALL
SELECT
    'excluded' AS part, trade_date, NULL, NULL, NULL, NULL,
    symbol, NULL, NULL, NULL, NULL, NULL, NULL,
    audit, detail, NULL
FROM findings
ORDER BY part, trade_date, symbol, audit
;

-- sql/stage/rows_of_changed_splits.sql
SELECT p.symbol, p.trade_date, p.split_factor
FROM backend_published.daily_prices FOR VERSION AS OF snapshot_id AS p
JOIN (SELECT * FROM (VALUES (CAST('IBM' AS varchar))) AS v ("symbol")) AS c ON c.symbol = p.symbol
WHERE p.trade_date BETWEEN DATE '2012-03-05' AND DATE '9999-12-30'
;

-- sql/stage/session_digests.sql
SELECT trade_date, CAST(SUM(number) AS BIGINT) AS digest
FROM (SELECT * FROM "coverage/row_numbers.sql") AS n
GROUP BY trade_date
;

-- sql/stage/sessions.sql (and 5 other forms, SHA-256 1cd16a21e8dd7132)
SELECT
    t.trade_date,
    COUNT(*)                                                                         AS symbols,
    CASE WHEN MAX(e.session) IS NOT NULL THEN 0 ELSE COUNT(*) - COUNT(q.symbol) END  AS published_rows,
    COUNT(q.symbol)                                                                  AS quarantined
FROM backend_staged.load_id__typed_prices__attempt AS t
JOIN (SELECT CAST("session" AS date) AS "session", CAST("closes_at" AS timestamp(6)) AS "closes_at" FROM backend_staged.input_token_sessions_0) AS c ON c.session = t.trade_date
LEFT JOIN excluded AS e ON e.session = t.trade_date
LEFT JOIN (SELECT DISTINCT symbol, trade_date FROM backend_staged.load_id__quarantined_prices__attempt) AS q
    ON  q.symbol = t.symbol AND q.trade_date = t.trade_date
GROUP BY t.trade_date
ORDER BY t.trade_date
;

-- sql/stage/stale_splits.sql
SELECT MIN(p.trade_date) AS first_stale, MAX(p.trade_date) AS last_stale
FROM (SELECT * FROM "stage/rows_of_changed_splits.sql") AS p
LEFT JOIN (SELECT * FROM (VALUES (CAST('IBM' AS varchar), CAST(DATE '2012-03-05' AS date), CAST(NULL AS date), CAST(2.0E0 AS double), CAST(2.0E0 AS double))) AS v ("symbol", "ex_date", "next_ex_date", "split_ratio", "split_factor")) AS f
    ON  f.symbol = p.symbol
    AND f.ex_date <= p.trade_date
    AND (f.next_ex_date IS NULL OR p.trade_date < f.next_ex_date)
WHERE p.split_factor <> COALESCE(f.split_factor, 1E0)
;

-- sql/stage/typed_prices.sql (and 6 other forms, SHA-256 b23cf3163db3c23a)
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
    FROM (SELECT * FROM "stage/raw_rows.sql") AS r
    JOIN (SELECT * FROM (VALUES (CAST(4 AS bigint), CAST('s3://stock-assets-tests/tests/backend/raw/daily_prices/ingest_date=day/timestamp/ORCL.csv' AS varchar), CAST('raw/daily_prices/ingest_date=day/timestamp/ORCL.csv' AS varchar), CAST('ORCL' AS varchar), CAST(TIMESTAMP '2012-03-01 22:00:00.000000' AS timestamp(6)), CAST(DATE '2012-03-01' AS date)), (3, 's3://stock-assets-tests/tests/backend/raw/daily_prices/ingest_date=day/timestamp/MSFT.csv', 'raw/daily_prices/ingest_date=day/timestamp/MSFT.csv', 'MSFT', TIMESTAMP '2012-03-01 22:00:00.000000', DATE '2012-03-01'), (2, 's3://stock-assets-tests/tests/backend/raw/daily_prices/ingest_date=day/timestamp/IBM.csv', 'raw/daily_prices/ingest_date=day/timestamp/IBM.csv', 'IBM', TIMESTAMP '2012-03-01 22:00:00.000000', DATE '2012-03-01'), (1, 's3://stock-assets-tests/tests/backend/raw/daily_prices/ingest_date=day/timestamp/CSCO.csv', 'raw/daily_prices/ingest_date=day/timestamp/CSCO.csv', 'CSCO', TIMESTAMP '2012-03-01 22:00:00.000000', DATE '2012-03-01'), (0, 's3://stock-assets-tests/tests/backend/raw/daily_prices/ingest_date=day/timestamp/AAPL.csv', 'raw/daily_prices/ingest_date=day/timestamp/AAPL.csv', 'AAPL', TIMESTAMP '2012-03-01 22:00:00.000000', DATE '2012-03-01')) AS v ("number", "path", "response_key", "symbol", "fetched_at", "requested_on")) AS p ON p.path = r."$path"
    -- A row of a closed day is read twice, once for each session around it.
    LEFT JOIN (
        SELECT day, session_before AS session FROM (SELECT * FROM (VALUES (CAST(DATE '2011-06-04' AS date), CAST(DATE '2011-06-03' AS date), CAST(DATE '2011-06-06' AS date)), (DATE '2011-06-05', DATE '2011-06-03', DATE '2011-06-06'), (DATE '2011-06-11', DATE '2011-06-10', DATE '2011-06-13'), (DATE '2011-06-12', DATE '2011-06-10', DATE '2011-06-13'), (DATE '2011-06-18', DATE '2011-06-17', DATE '2011-06-20'), (DATE '2011-06-19', DATE '2011-06-17', DATE '2011-06-20'), (DATE '2011-06-25', DATE '2011-06-24', DATE '2011-06-27'), (DATE '2011-06-26', DATE '2011-06-24', DATE '2011-06-27'), (DATE '2011-07-02', DATE '2011-07-01', DATE '2011-07-05'), (DATE '2011-07-03', DATE '2011-07-01', DATE '2011-07-05'), (DATE '2011-07-04', DATE '2011-07-01', DATE '2011-07-05'), (DATE '2011-07-09', DATE '2011-07-08', DATE '2011-07-11'), (DATE '2011-07-10', DATE '2011-07-08', DATE '2011-07-11'), (DATE '2011-07-16', DATE '2011-07-15', DATE '2011-07-18'), (DATE '2011-07-17', DATE '2011-07-15', DATE '2011-07-18'), (DATE '2011-07-23', DATE '2011-07-22', DATE '2011-07-25'), (DATE '2011-07-24', DATE '2011-07-22', DATE '2011-07-25'), (DATE '2011-07-30', DATE '2011-07-29', DATE '2011-08-01'), (DATE '2011-07-31', DATE '2011-07-29', DATE '2011-08-01'), (DATE '2011-08-06', DATE '2011-08-05', DATE '2011-08-08'), (DATE '2011-08-07', DATE '2011-08-05', DATE '2011-08-08'), (DATE '2011-08-13', DATE '2011-08-12', DATE '2011-08-15'), (DATE '2011-08-14', DATE '2011-08-12', DATE '2011-08-15'), (DATE '2011-08-20', DATE '2011-08-19', DATE '2011-08-22'), (DATE '2011-08-21', DATE '2011-08-19', DATE '2011-08-22'), (DATE '2011-08-27', DATE '2011-08-26', DATE '2011-08-29'), (DATE '2011-08-28', DATE '2011-08-26', DATE '2011-08-29'), (DATE '2011-09-03', DATE '2011-09-02', DATE '2011-09-06'), (DATE '2011-09-04', DATE '2011-09-02', DATE '2011-09-06'), (DATE '2011-09-05', DATE '2011-09-02', DATE '2011-09-06'), (DATE '2011-09-10', DATE '2011-09-09', DATE '2011-09-12'), (DATE '2011-09-11', DATE '2011-09-09', DATE '2011-09-12'), (DATE '2011-09-17', DATE '2011-09-16', DATE '2011-09-19'), (DATE '2011-09-18', DATE '2011-09-16', DATE '2011-09-19'), (DATE '2011-09-24', DATE '2011-09-23', DATE '2011-09-26'), (DATE '2011-09-25', DATE '2011-09-23', DATE '2011-09-26'), (DATE '2011-10-01', DATE '2011-09-30', DATE '2011-10-03'), (DATE '2011-10-02', DATE '2011-09-30', DATE '2011-10-03'), (DATE '2011-10-08', DATE '2011-10-07', DATE '2011-10-10'), (DATE '2011-10-09', DATE '2011-10-07', DATE '2011-10-10'), (DATE '2011-10-15', DATE '2011-10-14', DATE '2011-10-17'), (DATE '2011-10-16', DATE '2011-10-14', DATE '2011-10-17'), (DATE '2011-10-22', DATE '2011-10-21', DATE '2011-10-24'), (DATE '2011-10-23', DATE '2011-10-21', DATE '2011-10-24'), (DATE '2011-10-29', DATE '2011-10-28', DATE '2011-10-31'), (DATE '2011-10-30', DATE '2011-10-28', DATE '2011-10-31'), (DATE '2011-11-05', DATE '2011-11-04', DATE '2011-11-07'), (DATE '2011-11-06', DATE '2011-11-04', DATE '2011-11-07'), (DATE '2011-11-12', DATE '2011-11-11', DATE '2011-11-14'), (DATE '2011-11-13', DATE '2011-11-11', DATE '2011-11-14'), (DATE '2011-11-19', DATE '2011-11-18', DATE '2011-11-21'), (DATE '2011-11-20', DATE '2011-11-18', DATE '2011-11-21'), (DATE '2011-11-24', DATE '2011-11-23', DATE '2011-11-25'), (DATE '2011-11-26', DATE '2011-11-25', DATE '2011-11-28'), (DATE '2011-11-27', DATE '2011-11-25', DATE '2011-11-28'), (DATE '2011-12-03', DATE '2011-12-02', DATE '2011-12-05'), (DATE '2011-12-04', DATE '2011-12-02', DATE '2011-12-05'), (DATE '2011-12-10', DATE '2011-12-09', DATE '2011-12-12'), (DATE '2011-12-11', DATE '2011-12-09', DATE '2011-12-12'), (DATE '2011-12-17', DATE '2011-12-16', DATE '2011-12-19'), (DATE '2011-12-18', DATE '2011-12-16', DATE '2011-12-19'), (DATE '2011-12-24', DATE '2011-12-23', DATE '2011-12-27'), (DATE '2011-12-25', DATE '2011-12-23', DATE '2011-12-27'), (DATE '2011-12-26', DATE '2011-12-23', DATE '2011-12-27'), (DATE '2011-12-31', DATE '2011-12-30', DATE '2012-01-03'), (DATE '2012-01-01', DATE '2011-12-30', DATE '2012-01-03'), (DATE '2012-01-02', DATE '2011-12-30', DATE '2012-01-03'), (DATE '2012-01-07', DATE '2012-01-06', DATE '2012-01-09'), (DATE '2012-01-08', DATE '2012-01-06', DATE '2012-01-09'), (DATE '2012-01-14', DATE '2012-01-13', DATE '2012-01-17'), (DATE '2012-01-15', DATE '2012-01-13', DATE '2012-01-17'), (DATE '2012-01-16', DATE '2012-01-13', DATE '2012-01-17'), (DATE '2012-01-21', DATE '2012-01-20', DATE '2012-01-23'), (DATE '2012-01-22', DATE '2012-01-20', DATE '2012-01-23'), (DATE '2012-01-28', DATE '2012-01-27', DATE '2012-01-30'), (DATE '2012-01-29', DATE '2012-01-27', DATE '2012-01-30'), (DATE '2012-02-04', DATE '2012-02-03', DATE '2012-02-06'), (DATE '2012-02-05', DATE '2012-02-03', DATE '2012-02-06'), (DATE '2012-02-11', DATE '2012-02-10', DATE '2012-02-13'), (DATE '2012-02-12', DATE '2012-02-10', DATE '2012-02-13'), (DATE '2012-02-18', DATE '2012-02-17', DATE '2012-02-21'), (DATE '2012-02-19', DATE '2012-02-17', DATE '2012-02-21'), (DATE '2012-02-20', DATE '2012-02-17', DATE '2012-02-21'), (DATE '2012-02-25', DATE '2012-02-24', DATE '2012-02-27'), (DATE '2012-02-26', DATE '2012-02-24', DATE '2012-02-27')) AS v ("day", "session_before", "session_after")) AS b
        UNION ALL
        SELECT day, session_after AS session FROM (SELECT * FROM (VALUES (CAST(DATE '2011-06-04' AS date), CAST(DATE '2011-06-03' AS date), CAST(DATE '2011-06-06' AS date)), (DATE '2011-06-05', DATE '2011-06-03', DATE '2011-06-06'), (DATE '2011-06-11', DATE '2011-06-10', DATE '2011-06-13'), (DATE '2011-06-12', DATE '2011-06-10', DATE '2011-06-13'), (DATE '2011-06-18', DATE '2011-06-17', DATE '2011-06-20'), (DATE '2011-06-19', DATE '2011-06-17', DATE '2011-06-20'), (DATE '2011-06-25', DATE '2011-06-24', DATE '2011-06-27'), (DATE '2011-06-26', DATE '2011-06-24', DATE '2011-06-27'), (DATE '2011-07-02', DATE '2011-07-01', DATE '2011-07-05'), (DATE '2011-07-03', DATE '2011-07-01', DATE '2011-07-05'), (DATE '2011-07-04', DATE '2011-07-01', DATE '2011-07-05'), (DATE '2011-07-09', DATE '2011-07-08', DATE '2011-07-11'), (DATE '2011-07-10', DATE '2011-07-08', DATE '2011-07-11'), (DATE '2011-07-16', DATE '2011-07-15', DATE '2011-07-18'), (DATE '2011-07-17', DATE '2011-07-15', DATE '2011-07-18'), (DATE '2011-07-23', DATE '2011-07-22', DATE '2011-07-25'), (DATE '2011-07-24', DATE '2011-07-22', DATE '2011-07-25'), (DATE '2011-07-30', DATE '2011-07-29', DATE '2011-08-01'), (DATE '2011-07-31', DATE '2011-07-29', DATE '2011-08-01'), (DATE '2011-08-06', DATE '2011-08-05', DATE '2011-08-08'), (DATE '2011-08-07', DATE '2011-08-05', DATE '2011-08-08'), (DATE '2011-08-13', DATE '2011-08-12', DATE '2011-08-15'), (DATE '2011-08-14', DATE '2011-08-12', DATE '2011-08-15'), (DATE '2011-08-20', DATE '2011-08-19', DATE '2011-08-22'), (DATE '2011-08-21', DATE '2011-08-19', DATE '2011-08-22'), (DATE '2011-08-27', DATE '2011-08-26', DATE '2011-08-29'), (DATE '2011-08-28', DATE '2011-08-26', DATE '2011-08-29'), (DATE '2011-09-03', DATE '2011-09-02', DATE '2011-09-06'), (DATE '2011-09-04', DATE '2011-09-02', DATE '2011-09-06'), (DATE '2011-09-05', DATE '2011-09-02', DATE '2011-09-06'), (DATE '2011-09-10', DATE '2011-09-09', DATE '2011-09-12'), (DATE '2011-09-11', DATE '2011-09-09', DATE '2011-09-12'), (DATE '2011-09-17', DATE '2011-09-16', DATE '2011-09-19'), (DATE '2011-09-18', DATE '2011-09-16', DATE '2011-09-19'), (DATE '2011-09-24', DATE '2011-09-23', DATE '2011-09-26'), (DATE '2011-09-25', DATE '2011-09-23', DATE '2011-09-26'), (DATE '2011-10-01', DATE '2011-09-30', DATE '2011-10-03'), (DATE '2011-10-02', DATE '2011-09-30', DATE '2011-10-03'), (DATE '2011-10-08', DATE '2011-10-07', DATE '2011-10-10'), (DATE '2011-10-09', DATE '2011-10-07', DATE '2011-10-10'), (DATE '2011-10-15', DATE '2011-10-14', DATE '2011-10-17'), (DATE '2011-10-16', DATE '2011-10-14', DATE '2011-10-17'), (DATE '2011-10-22', DATE '2011-10-21', DATE '2011-10-24'), (DATE '2011-10-23', DATE '2011-10-21', DATE '2011-10-24'), (DATE '2011-10-29', DATE '2011-10-28', DATE '2011-10-31'), (DATE '2011-10-30', DATE '2011-10-28', DATE '2011-10-31'), (DATE '2011-11-05', DATE '2011-11-04', DATE '2011-11-07'), (DATE '2011-11-06', DATE '2011-11-04', DATE '2011-11-07'), (DATE '2011-11-12', DATE '2011-11-11', DATE '2011-11-14'), (DATE '2011-11-13', DATE '2011-11-11', DATE '2011-11-14'), (DATE '2011-11-19', DATE '2011-11-18', DATE '2011-11-21'), (DATE '2011-11-20', DATE '2011-11-18', DATE '2011-11-21'), (DATE '2011-11-24', DATE '2011-11-23', DATE '2011-11-25'), (DATE '2011-11-26', DATE '2011-11-25', DATE '2011-11-28'), (DATE '2011-11-27', DATE '2011-11-25', DATE '2011-11-28'), (DATE '2011-12-03', DATE '2011-12-02', DATE '2011-12-05'), (DATE '2011-12-04', DATE '2011-12-02', DATE '2011-12-05'), (DATE '2011-12-10', DATE '2011-12-09', DATE '2011-12-12'), (DATE '2011-12-11', DATE '2011-12-09', DATE '2011-12-12'), (DATE '2011-12-17', DATE '2011-12-16', DATE '2011-12-19'), (DATE '2011-12-18', DATE '2011-12-16', DATE '2011-12-19'), (DATE '2011-12-24', DATE '2011-12-23', DATE '2011-12-27'), (DATE '2011-12-25', DATE '2011-12-23', DATE '2011-12-27'), (DATE '2011-12-26', DATE '2011-12-23', DATE '2011-12-27'), (DATE '2011-12-31', DATE '2011-12-30', DATE '2012-01-03'), (DATE '2012-01-01', DATE '2011-12-30', DATE '2012-01-03'), (DATE '2012-01-02', DATE '2011-12-30', DATE '2012-01-03'), (DATE '2012-01-07', DATE '2012-01-06', DATE '2012-01-09'), (DATE '2012-01-08', DATE '2012-01-06', DATE '2012-01-09'), (DATE '2012-01-14', DATE '2012-01-13', DATE '2012-01-17'), (DATE '2012-01-15', DATE '2012-01-13', DATE '2012-01-17'), (DATE '2012-01-16', DATE '2012-01-13', DATE '2012-01-17'), (DATE '2012-01-21', DATE '2012-01-20', DATE '2012-01-23'), (DATE '2012-01-22', DATE '2012-01-20', DATE '2012-01-23'), (DATE '2012-01-28', DATE '2012-01-27', DATE '2012-01-30'), (DATE '2012-01-29', DATE '2012-01-27', DATE '2012-01-30'), (DATE '2012-02-04', DATE '2012-02-03', DATE '2012-02-06'), (DATE '2012-02-05', DATE '2012-02-03', DATE '2012-02-06'), (DATE '2012-02-11', DATE '2012-02-10', DATE '2012-02-13'), (DATE '2012-02-12', DATE '2012-02-10', DATE '2012-02-13'), (DATE '2012-02-18', DATE '2012-02-17', DATE '2012-02-21'), (DATE '2012-02-19', DATE '2012-02-17', DATE '2012-02-21'), (DATE '2012-02-20', DATE '2012-02-17', DATE '2012-02-21'), (DATE '2012-02-25', DATE '2012-02-24', DATE '2012-02-27'), (DATE '2012-02-26', DATE '2012-02-24', DATE '2012-02-27')) AS v ("day", "session_before", "session_after")) AS a
    ) AS c ON c.day = r.trade_date
    WHERE r.trade_date BETWEEN DATE '2011-05-31' AND DATE '2012-03-02'
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
    WHERE n.trade_date BETWEEN DATE '2011-06-01' AND DATE '2012-03-01'
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
      AND n.trade_date BETWEEN DATE '2011-06-01' AND DATE '2012-03-01'
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
JOIN (SELECT * FROM (VALUES (CAST(4 AS bigint), CAST('s3://stock-assets-tests/tests/backend/raw/daily_prices/ingest_date=day/timestamp/ORCL.csv' AS varchar), CAST('raw/daily_prices/ingest_date=day/timestamp/ORCL.csv' AS varchar), CAST('ORCL' AS varchar), CAST(TIMESTAMP '2012-03-01 22:00:00.000000' AS timestamp(6)), CAST(DATE '2012-03-01' AS date)), (3, 's3://stock-assets-tests/tests/backend/raw/daily_prices/ingest_date=day/timestamp/MSFT.csv', 'raw/daily_prices/ingest_date=day/timestamp/MSFT.csv', 'MSFT', TIMESTAMP '2012-03-01 22:00:00.000000', DATE '2012-03-01'), (2, 's3://stock-assets-tests/tests/backend/raw/daily_prices/ingest_date=day/timestamp/IBM.csv', 'raw/daily_prices/ingest_date=day/timestamp/IBM.csv', 'IBM', TIMESTAMP '2012-03-01 22:00:00.000000', DATE '2012-03-01'), (1, 's3://stock-assets-tests/tests/backend/raw/daily_prices/ingest_date=day/timestamp/CSCO.csv', 'raw/daily_prices/ingest_date=day/timestamp/CSCO.csv', 'CSCO', TIMESTAMP '2012-03-01 22:00:00.000000', DATE '2012-03-01'), (0, 's3://stock-assets-tests/tests/backend/raw/daily_prices/ingest_date=day/timestamp/AAPL.csv', 'raw/daily_prices/ingest_date=day/timestamp/AAPL.csv', 'AAPL', TIMESTAMP '2012-03-01 22:00:00.000000', DATE '2012-03-01')) AS v ("number", "path", "response_key", "symbol", "fetched_at", "requested_on")) AS p ON p.number = b.number
;
