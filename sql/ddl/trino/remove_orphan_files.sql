-- Remove files above an age that no snapshot needs: killed writers have left them.
ALTER TABLE ${table} EXECUTE remove_orphan_files(retention_threshold => ${age})
