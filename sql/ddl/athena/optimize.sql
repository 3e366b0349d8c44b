-- Rewrite small files, and files with deleted rows, of each partition into few large files.
OPTIMIZE ${table} REWRITE DATA USING BIN_PACK
