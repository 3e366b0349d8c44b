-- Create a published table: Iceberg, one partition per year.
CREATE TABLE IF NOT EXISTS ${table} (
    ${columns}
)
WITH (
    format = 'PARQUET',
    location = ${location},
    partitioning = ARRAY['year(trade_date)']
)
