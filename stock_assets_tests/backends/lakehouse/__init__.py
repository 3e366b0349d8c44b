"""Tests of the parts that the Athena and Trino backends share."""
