# syntax=docker/dockerfile:1

# The image of a node is the last stage: docker build -t audiences .
# The stages `objects` and `proxy` are for compose.yaml: the same programs as in their images, without root.

FROM chrislusf/seaweedfs:4.48 AS objects
RUN mkdir -p /var/lib/objects && chown 10001:10001 /var/lib/objects
USER 10001:10001
ENTRYPOINT ["/usr/bin/weed"]


FROM caddy:2.11.7-alpine AS proxy
RUN mkdir -p /var/lib/caddy && chown 10001:10001 /var/lib/caddy
ENV XDG_CONFIG_HOME=/var/lib/caddy/config XDG_DATA_HOME=/var/lib/caddy/data
COPY deploy/Caddyfile /etc/caddy/Caddyfile
USER 10001:10001


FROM python:3.11.15-slim-trixie AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/audiences
WORKDIR /build
# The libraries change seldom, and have a layer of their own. Each is checked against the hash in the lock, and built by
# nobody but its maker.
COPY requirements/run.txt requirements/run.txt
RUN /opt/audiences/bin/pip install --require-hashes --only-binary :all: -r requirements/run.txt
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN /opt/audiences/bin/pip wheel --no-deps --wheel-dir dist . \
    && /opt/audiences/bin/pip install --no-deps dist/*.whl
# The numbering plan's cache, which a first start would take seconds to build.
RUN XDG_CACHE_HOME=/var/lib/audiences/cache /opt/audiences/bin/python -m audiences.prepare


FROM python:3.11.15-slim-trixie
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /var/lib/audiences --shell /usr/sbin/nologin audiences \
    && install --directory --owner=10001 --group=10001 /var/lib/audiences
COPY --from=build /opt/audiences /opt/audiences
# A volume that is empty at first begins as a copy of this folder, cache and owner included.
COPY --from=build --chown=10001:10001 /var/lib/audiences /var/lib/audiences
ENV PATH=/opt/audiences/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    XDG_CACHE_HOME=/var/lib/audiences/cache \
    AUDIENCES_DATA=/var/lib/audiences/data
USER 10001:10001
WORKDIR /var/lib/audiences
VOLUME /var/lib/audiences
EXPOSE 8000
STOPSIGNAL SIGTERM
# A status other than 200 raises, and so does no answer: then the exit code is 1.
HEALTHCHECK --interval=10s --timeout=10s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=8)"]
ENTRYPOINT ["audiences"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000"]
