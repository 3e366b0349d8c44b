"""The Athena backend: S3, Glue Data Catalog and Athena."""
