"""Import of an earlier pipeline's data: its files become stored responses, and continue like every other response.

`locations` and `aws_locations` find the files, `ingest.price_files` reads them, `row_selection` decides which rows are
usable, `importer` stores the bars. Nothing here publishes anything: the imported responses are staged, audited and
published like the vendor's responses.
"""
