-- Set what VACUUM keeps: younger snapshots, a number of the newest snapshots, and younger orphan files.
ALTER TABLE ${table} SET TBLPROPERTIES (
    'vacuum_max_snapshot_age_seconds' = ${seconds},
    'vacuum_min_snapshots_to_keep' = ${snapshots},
    'vacuum_max_metadata_files_to_keep' = ${metadata_files}
)
