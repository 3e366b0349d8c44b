"""Where data live and SQL runs: the interface of a backend (`interface`), and one package per backend.

Belongs here: backends, and what they share. Does not belong here: the steps of the data path, which use the interface
only.
"""
