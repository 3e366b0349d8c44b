"""Names of the emulator that all tests use; this module imports nothing, so importing it is cheap."""

REGION = "us-east-1"
WORKGROUP = "primary"
BUCKET = "stock-assets-tests"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_SESSION_TOKEN": "testing"}
ROLE = "arn:aws:iam::123456789012:role/prices"
