-- Create a published table: Iceberg, one partition per year.
CREATE TABLE IF NOT EXISTS ${table} (
    ${columns}
)
PARTITIONED BY (year(trade_date))
LOCATION ${location}
TBLPROPERTIES (
    'table_type' = 'ICEBERG',
    'format' = 'parquet',
    'write_compression' = 'zstd'
)
