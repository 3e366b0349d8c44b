"""The storage of the data and the engines of SQL: the interface of a backend, and one package per backend.

Belongs here: backends, and what they share. Does not belong here: the steps of the data path, which use the interface
only.
"""
