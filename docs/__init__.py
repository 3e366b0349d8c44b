"""Pages of the documentation, and the generator of one of them."""
