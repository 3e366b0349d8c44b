"""The local backend: files, SQLite, DuckDB and Iceberg (pyiceberg) in one folder of this machine."""
