"""Tests of the Trino backend that need a real Trino server, or concern its statements only."""
