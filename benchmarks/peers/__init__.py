"""Scripts that compute the published columns by hand, as an engineer would without this project.

They audit nothing, keep no history and commit nothing: lower bounds of time, not equivalents. Each reads one CSV file
per symbol, writes Parquet, and prints its rows and seconds as JSON. Usage: `python -m benchmarks.peers.<name> FOLDER
OUT FIRST LAST`. One that needs several passes to bound its memory does so by itself.
"""
