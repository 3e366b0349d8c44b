-- Writes the small files of each partition, and those with rows marked as deleted, anew as few large ones.
OPTIMIZE ${table} REWRITE DATA USING BIN_PACK
