-- A view that readers use beside the published tables.
CREATE OR REPLACE VIEW ${view} AS
${select}
