"""Backends: the places where data live and SQL runs, behind a few interfaces.

`interface` defines what a backend must provide. Each folder next to it implements one backend; Athena and Trino share
`lakehouse`. The steps of the data path use the interfaces only.
"""
