"""The sources of prices: the interface, the live vendor over HTTP, and the recorded sample."""
