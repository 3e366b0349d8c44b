-- Removes files that no version needs and that are older than an age: what killed writers have left.
ALTER TABLE ${table} EXECUTE remove_orphan_files(retention_threshold => ${age})
