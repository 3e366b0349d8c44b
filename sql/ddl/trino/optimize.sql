-- Rewrite the rows of a table into fewer, larger files, as a new snapshot.
ALTER TABLE ${table} EXECUTE optimize(file_size_threshold => ${threshold})
