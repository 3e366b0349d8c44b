"""The AWS home, against the double of the services."""
