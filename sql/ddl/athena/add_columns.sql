-- Columns that a contract has gained; rows stored before have NULL in them.
ALTER TABLE ${table} ADD COLUMNS (${columns})
