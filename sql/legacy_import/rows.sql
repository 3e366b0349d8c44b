-- The rows of an earlier pipeline's files, each with the reason why it is not imported, or NULL. Values stay text as
-- they are written, except a volume such as 1200.0. A date may be a timestamp at midnight, which data frames write.
-- A value with a comma, a quote or a character beyond plain text cannot be written in the vendor's format.
WITH fields AS (
    SELECT
        f.name,
        f.written_at,
        f.written_on,
        r.line,
        COALESCE(TRIM(BOTH ' ' FROM r.symbol), '')  AS symbol,
        COALESCE(TRIM(BOTH ' ' FROM r.day), '')     AS day_text,
        COALESCE(TRIM(BOTH ' ' FROM r.open), '')    AS open_text,
        COALESCE(TRIM(BOTH ' ' FROM r.high), '')    AS high_text,
        COALESCE(TRIM(BOTH ' ' FROM r.low), '')     AS low_text,
        COALESCE(TRIM(BOTH ' ' FROM r.close), '')   AS close_text,
        COALESCE(CASE WHEN REGEXP_LIKE(TRIM(BOTH ' ' FROM r.volume), '^-?[0-9]+[.]0+$')
                      THEN SUBSTR(TRIM(BOTH ' ' FROM r.volume), 1, STRPOS(TRIM(BOTH ' ' FROM r.volume), '.') - 1)
                      ELSE TRIM(BOTH ' ' FROM r.volume) END, '') AS volume_text
    FROM ${legacy_rows} AS r
    JOIN ${legacy_files} AS f ON f.file = r.file
),
dated AS (
    SELECT
        fields.*,
        CASE WHEN REGEXP_LIKE(day_text, '^[0-9]{4}-[0-9]{2}-[0-9]{2}([ T]00:00(:00([.]0+)?)?(Z|[+-]00(:?00)?)?)?$')
             THEN TRY_CAST(SUBSTR(day_text, 1, 10) AS DATE) END AS trade_date
    FROM fields
)
SELECT
    d.*,
    s.closes_at,
    CAST(CASE
        WHEN d.trade_date IS NULL THEN 'no date'
        WHEN NOT REGEXP_LIKE(d.open_text || d.high_text || d.low_text || d.close_text || d.volume_text, '^[ !#-+.-~-]*$')
                                                              THEN 'not a plain value'
        WHEN k.symbol IS NULL                                 THEN 'symbol not in the universe'
        WHEN d.trade_date > d.written_on                      THEN 'dated after it was written'
        WHEN NOT d.trade_date BETWEEN ${first_date} AND ${last_date} THEN 'outside the partitions'
        WHEN s.session IS NULL                                THEN 'the exchange was closed'
        WHEN s.closes_at > ${imported_at}                          THEN 'session not closed yet'
    END AS VARCHAR) AS problem
FROM dated AS d
LEFT JOIN ${known_symbols} AS k ON k.symbol = d.symbol
LEFT JOIN ${sessions} AS s ON s.session = d.trade_date
