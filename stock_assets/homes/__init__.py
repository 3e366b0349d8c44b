"""The places where the pipeline can run, behind a few interfaces.

`interfaces` says what a home must offer; each folder beside it is one home. Steps of the path talk to the
interfaces only.
"""
