"""Where prices come from: the interface, the live vendor over HTTP, and the recorded sample."""
