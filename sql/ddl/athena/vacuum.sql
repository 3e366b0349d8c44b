-- Takes versions out of a table, and removes files that no version needs, as the properties of the table say.
VACUUM ${table}
