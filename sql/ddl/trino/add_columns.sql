-- A column that a contract has gained; rows stored before have NULL in it. Trino takes one column a statement.
ALTER TABLE ${table} ADD COLUMN ${column}
