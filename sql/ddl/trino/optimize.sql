-- Lays out the rows of a table in fewer, larger files, in a version of its own.
ALTER TABLE ${table} EXECUTE optimize(file_size_threshold => ${threshold})
