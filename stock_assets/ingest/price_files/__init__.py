"""Files with daily prices that other programs wrote: the one reader of landing files and of imports.

`content` recognises compression, encoding and format by the first bytes, never by the name. `csv_rows`, `json_rows` and
`parquet_rows` read the rows, `columns` decides which column is which, `values` writes each value as text, `paths` reads
the information in names of files and folders, and `reader` combines them.

Belongs here: everything about the form of a file. Does not belong here: which files are read, which rows are used
(`ingest.landing_files`, `legacy_import`), the numbers (the audits).
"""
