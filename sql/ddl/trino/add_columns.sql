-- Add a new column of a contract; rows stored before have NULL in it. Trino accepts one column per statement.
ALTER TABLE ${table} ADD COLUMN ${column}
