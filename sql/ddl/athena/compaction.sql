-- From how many files on OPTIMIZE writes a partition anew. Athena would wait for five files, or two with deleted rows.
ALTER TABLE ${table} SET TBLPROPERTIES (
    'optimize_rewrite_data_file_threshold' = ${data_files},
    'optimize_rewrite_delete_file_threshold' = ${delete_files}
)
