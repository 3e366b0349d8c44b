"""Draw the published tables into one HTML file, which opens in any browser without a network."""
