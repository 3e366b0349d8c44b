"""What one home does beyond the contract of all."""
