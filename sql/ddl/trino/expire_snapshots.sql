-- Expire snapshots above an age, and remove the files that only they need.
ALTER TABLE ${table} EXECUTE expire_snapshots(retention_threshold => ${age})
