-- What VACUUM keeps: versions that are younger, or among the newest, and orphan files that are younger.
ALTER TABLE ${table} SET TBLPROPERTIES (
    'vacuum_max_snapshot_age_seconds' = ${seconds},
    'vacuum_min_snapshots_to_keep' = ${versions},
    'vacuum_max_metadata_files_to_keep' = ${metadata_files}
)
