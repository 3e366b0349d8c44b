"""Tests of the local backend that go beyond the contract of all backends (`contracts`)."""
