-- Create a staging table for one attempt of one load. Iceberg, since a Hive table cuts timestamps to milliseconds.
CREATE TABLE ${table}
WITH (
    table_type = 'ICEBERG',
    format = 'PARQUET',
    write_compression = 'ZSTD',
    is_external = false,
    location = ${location}
)
AS
${select}
