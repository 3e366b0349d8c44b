-- Lets go of versions older than an age, and of the files that only they need.
ALTER TABLE ${table} EXECUTE expire_snapshots(retention_threshold => ${age})
