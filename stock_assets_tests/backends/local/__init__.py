"""The backend of one machine: what it does beyond the contract of all."""
