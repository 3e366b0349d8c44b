"""Keep the stored data small and clean: what is maintained, and how long things are kept."""
