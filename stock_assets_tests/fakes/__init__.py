"""Fakes of the vendor, the clock, alert channels and servers, shared by the tests.

Belongs here: replacements of what the package calls. Does not belong here: AWS (`emulators`), helpers (`support`).
"""
