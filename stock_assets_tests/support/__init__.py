"""The edges the tests replace: a source whose bars a test writes, and shorthand for running the path."""
