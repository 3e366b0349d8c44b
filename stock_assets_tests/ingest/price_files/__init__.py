"""Tests of the reader of price files."""
