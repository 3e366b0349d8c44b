-- Expire snapshots and remove files that no snapshot needs, according to the properties of the table.
VACUUM ${table}
