-- Set from how many files on OPTIMIZE rewrites a partition. Athena's defaults are 5 files, or 2 delete files.
ALTER TABLE ${table} SET TBLPROPERTIES (
    'optimize_rewrite_data_file_threshold' = ${data_files},
    'optimize_rewrite_delete_file_threshold' = ${delete_files}
)
