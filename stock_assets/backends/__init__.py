"""The places where the pipeline can run, behind a few interfaces.

`interfaces` says what a backend must offer; each folder beside it is one backend. Steps of the path talk to the
interfaces only.
"""
