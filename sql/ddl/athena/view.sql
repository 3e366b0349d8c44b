-- Create or replace a view next to the published tables.
CREATE OR REPLACE VIEW ${view} AS
${select}
