"""What one backend does beyond the contract of all."""
