"""Deployment on AWS: CloudFormation stacks, what no template can set up, and the zip file of the Lambda function."""
