"""Names by which everything in the tests knows the double of AWS; importing them imports nothing else."""

REGION = "us-east-1"
WORKGROUP = "primary"
BUCKET = "stock-assets-tests"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_SESSION_TOKEN": "testing"}
