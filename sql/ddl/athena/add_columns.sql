-- Add the new columns of a contract; rows stored before have NULL in them.
ALTER TABLE ${table} ADD COLUMNS (${columns})
