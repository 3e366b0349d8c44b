-- Read the lines of raw responses where they are stored. Partitions follow from the ingest date, so none is ever added.
CREATE TABLE IF NOT EXISTS ${table} (
    line VARCHAR,
    ingest_date VARCHAR WITH (
        partition_projection_type = 'DATE',
        partition_projection_format = 'yyyy-MM-dd',
        partition_projection_range = ARRAY['2000-01-01', 'NOW+1DAYS']
    )
)
WITH (
    format = 'TEXTFILE',
    skip_header_line_count = 1,
    external_location = ${location},
    partitioned_by = ARRAY['ingest_date'],
    partition_projection_enabled = true,
    partition_projection_location_template = ${template}
)
