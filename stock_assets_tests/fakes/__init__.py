"""Fakes of the vendor, the clock, alert channels and servers, shared by the tests."""
