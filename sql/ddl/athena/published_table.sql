-- A published table: Iceberg, one partition a year.
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
