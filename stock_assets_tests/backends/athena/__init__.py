"""The AWS backend, against the double of the services."""
