-- The rows of raw responses, from their lines: day and numbers, and the text that they come from.
-- sources/raw_format.py defines the format: a field ends at a comma, and no other character is special. The fields that
-- a line does not have are empty. Everything after the fifth comma is the volume, so that a line with too many fields
-- has a volume that is no number.
-- Text that is not a plain number becomes NULL and is named in unparsed_text. It is matched before the cast, since Trino
-- and DuckDB cast different texts; the character that TRIM removes is named, since for Trino a tab is a space too. A
-- price of more than 12 digits before the point is no price: it would not fit the decimals of the audits, and with 310
-- digits it would be infinite.
-- date_text is the first field as it is written, bar_text the others without the spaces around them. A backend may leave
-- both out (NULL) for all rows of a response that has only plain numbers and one row per day, none of a later day than
-- that of its request.
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
    FROM ${lines} AS l
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
