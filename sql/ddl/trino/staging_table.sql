-- Create a staging table for one attempt of one load. Iceberg, since a Hive table cuts timestamps to milliseconds.
CREATE TABLE ${table}
WITH (
    format = 'PARQUET',
    location = ${location}
)
AS
${select}
