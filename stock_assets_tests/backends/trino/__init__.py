"""What only a real Trino can show."""
