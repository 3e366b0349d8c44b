-- The rows of raw responses as text columns, from their lines. sources/raw_format.py defines the format: a field ends at
-- a comma, and no other character is special. The fields that a line does not have are empty. Everything after the
-- fifth comma is the volume, so that a line with too many fields has a volume that is no number.
SELECT
    COALESCE(SPLIT_PART(line, ',', 1), '')                                AS "timestamp",
    COALESCE(SPLIT_PART(line, ',', 2), '')                                AS "open",
    COALESCE(SPLIT_PART(line, ',', 3), '')                                AS high,
    COALESCE(SPLIT_PART(line, ',', 4), '')                                AS low,
    COALESCE(SPLIT_PART(line, ',', 5), '')                                AS "close",
    COALESCE(REGEXP_EXTRACT(line, '^(?:[^,]*,){5}([\s\S]*)', 1), '')      AS volume,
    "$path"
FROM ${lines} AS l
WHERE TRIM(BOTH ' ' FROM line) <> ''
