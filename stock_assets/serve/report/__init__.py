"""The report that needs nothing: what is published, drawn into one file that opens in any browser without a network."""
