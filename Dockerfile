# The image of the pipeline: web server, daemon, code server and commands. `docker build -t stock-assets .`

# Any image with Python 3.11 to 3.13 and its module venv; the tests build on Debian's own Python. The digest is the one of
# the tag for all platforms. It never changes, also not for security updates: docs/deploy.md describes how to renew it.
ARG BASE=docker.io/library/python:3.13.14-slim-bookworm@sha256:67a1e1f215ccda113cfc024e8639049257e88f273898f595b61476d128d387e8

# The linter does not read the argument, which has a tag and a digest.
# hadolint ignore=DL3006
FROM ${BASE} AS build
# Without a cache, which would only make the layer larger.
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY requirements-server.lock ./
# Wheels only: pip would download the build backend of a source distribution without checking a hash.
RUN python3 -m venv /opt/stock-assets \
    && /opt/stock-assets/bin/pip install --only-binary :all: --require-hashes --requirement requirements-server.lock
COPY pyproject.toml README.md LICENSE ./
COPY sql sql
COPY infra infra
COPY stock_assets stock_assets
# The build backend is in the lock file, so that nothing is downloaded without a hash. pip is of no use afterwards.
RUN /opt/stock-assets/bin/pip install --no-deps --no-build-isolation --no-index . \
    && /opt/stock-assets/bin/pip uninstall --yes pip setuptools \
    && install -D --target-directory /opt/stock-assets/dagster infra/docker/dagster.yaml infra/docker/workspace.yaml

# The argument again.
# hadolint ignore=DL3006
FROM ${BASE}
LABEL org.opencontainers.image.title="stock_assets" org.opencontainers.image.licenses="Apache-2.0"
# The only folder that is written to, besides /tmp: the root file system can be read-only.
RUN groupadd --gid 10001 stock-assets \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin stock-assets \
    && install --directory --owner 10001 --group 10001 /var/lib/stock-assets
COPY --from=build /opt/stock-assets /opt/stock-assets
ENV PATH=/opt/stock-assets/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    DAGSTER_HOME=/opt/stock-assets/dagster \
    STOCK_ASSETS_DAGSTER_CODE_SERVER=code \
    STOCK_ASSETS_DATA_DIR=/var/lib/stock-assets
WORKDIR /var/lib/stock-assets
USER 10001:10001
# Fargate's empty volume at /tmp belongs to root, unless the image declares it with its owner and mode.
VOLUME ["/var/lib/stock-assets", "/tmp"]
EXPOSE 3000
# No entry point: Dagster's run launchers and `docker run IMAGE stock-assets ...` give whole commands.
CMD ["dagster-webserver", "--host", "0.0.0.0", "--port", "3000", "--workspace", "/opt/stock-assets/dagster/workspace.yaml"]
# Of the web server; compose.yaml has those of the daemon and the code server.
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s \
    CMD ["python3", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:3000/server_info', timeout=8)"]
