"""The first step after fetching: typed rows with metrics, one load at a time, read only by audit and publish."""
