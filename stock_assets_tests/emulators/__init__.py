"""Emulators of AWS services that run on this machine, without an account.

Belongs here: servers that the real AWS clients talk to. Does not belong here: fakes of the vendor, the clock and alert
channels (`fakes`), fixtures that construct backends on an emulator (`support`).
"""
