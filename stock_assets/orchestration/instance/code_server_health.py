"""The health check of a code server: `python -m stock_assets.orchestration.instance.code_server_health 4000`.

Belongs here: asking a code server on this machine whether it serves. Does not belong here: when that is asked
(`compose.yaml`, `infra/aws/fargate.yaml`).

Dagster's own check, `dagster api grpc-health-check`, imports Dagster: 1 s of CPU, every 30 seconds 3% of a core, more
than the daemon and the code server use together. This one sends the same request and takes 0.1 s. The package grpc is a
requirement of Dagster.
"""

import sys

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

SERVICE = "DagsterApi"
"""The name under which Dagster's code server reports its health."""
_REPLY_SECONDS = 8


def is_serving(port: int) -> bool:
    """Return whether the code server on a port of this machine serves."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            reply = HealthStub(channel).Check(HealthCheckRequest(service=SERVICE), timeout=_REPLY_SECONDS)
        except grpc.RpcError:
            return False
    return bool(reply.status == HealthCheckResponse.SERVING)


if __name__ == "__main__":
    sys.exit(0 if is_serving(int(sys.argv[1])) else 1)
