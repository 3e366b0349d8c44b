"""The Trino backend: S3, Glue Data Catalog and a Trino cluster."""
