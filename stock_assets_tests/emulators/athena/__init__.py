"""The Athena emulator: S3, Glue, STS and Athena on this machine; see README.md in this folder."""
