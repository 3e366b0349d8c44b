"""Deployment on AWS: building the function's zip file, CloudFormation through boto3."""
