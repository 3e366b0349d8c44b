"""Daily stock prices: written, audited, published.

The folders are the path of the data: `ingest` keeps what a vendor answered, `stage` makes typed rows of it,
`audit` judges them, `publish` commits them, `serve` reads what was published. `backends` holds the places where
this can run; `build` wires everything together.
"""
