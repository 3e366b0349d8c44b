-- The rows of an earlier pipeline's files, each with the reason why it is not imported, or NULL.
SELECT
    f.name,
    f.written_at,
    r.line,
    r.symbol,
    r.trade_date,
    r.day       AS day_text,
    r.open      AS open_text,
    r.high      AS high_text,
    r.low       AS low_text,
    r.close     AS close_text,
    r.volume    AS volume_text,
    s.closes_at,
    CAST(CASE
        WHEN r.trade_date IS NULL                             THEN 'no date'
        WHEN k.symbol IS NULL                                 THEN 'symbol not in the universe'
        WHEN r.trade_date > f.written_on                      THEN 'dated after it was written'
        WHEN NOT r.trade_date BETWEEN ${first_date} AND ${last_date} THEN 'outside the partitions'
        WHEN s.session IS NULL                                THEN 'the exchange was closed'
        WHEN s.closes_at > ${imported_at}                     THEN 'session not closed yet'
    END AS VARCHAR) AS problem
FROM ${legacy_rows} AS r
JOIN ${legacy_files} AS f ON f.file = r.file
LEFT JOIN ${known_symbols} AS k ON k.symbol = r.symbol
LEFT JOIN ${sessions} AS s ON s.session = r.trade_date
