-- A staging table of one attempt of one load. Iceberg, since a Hive table would cut moments to milliseconds.
CREATE TABLE ${table}
WITH (
    format = 'PARQUET',
    location = ${location}
)
AS
${select}
