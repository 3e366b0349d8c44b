"""Raw data: request responses from a source, store them byte for byte, and record each request in the ledger."""
