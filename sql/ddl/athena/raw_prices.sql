-- Read the lines of raw responses where they are stored. Partitions follow from the ingest date, so none is ever added.
CREATE EXTERNAL TABLE IF NOT EXISTS ${table} (
    `line` string
)
PARTITIONED BY (ingest_date string)
ROW FORMAT SERDE 'org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe'
WITH SERDEPROPERTIES ('serialization.format' = '1')
STORED AS TEXTFILE
LOCATION ${location}
TBLPROPERTIES (
    'skip.header.line.count' = '1',
    'projection.enabled' = 'true',
    'projection.ingest_date.type' = 'date',
    'projection.ingest_date.format' = 'yyyy-MM-dd',
    'projection.ingest_date.range' = '2000-01-01,NOW+1DAYS',
    'storage.location.template' = ${template}
)
