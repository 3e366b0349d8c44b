"""The parts that the Athena and Trino backends share: S3, Glue Data Catalog, Iceberg metadata, SQL connection."""
