"""Raw data: ask a source, keep its answer as it came, note in the ledger how it went."""
