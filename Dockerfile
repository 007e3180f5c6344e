# The image of msg91-destination: workers (the default), the HTTP door, the sandbox, and every command.
FROM python:3.13-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY mappings mappings
COPY worker worker
# Traces and Zstandard, but no embedded store: REDIS_URL names one that outlives the container.
RUN python -m venv /opt/msg91-destination && /opt/msg91-destination/bin/pip install '.[otel,zstd]'

FROM python:3.13-slim
LABEL org.opencontainers.image.title="msg91-destination" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 app \
 && useradd --uid 10001 --gid app --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin app \
 && install --directory --owner=10001 --group=10001 /record
COPY --from=build /opt/msg91-destination /opt/msg91-destination
ENV PATH=/opt/msg91-destination/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
# destinations.yaml and mapping files are mounted here.
WORKDIR /config
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s --retries=3 CMD ["python", "-m", "worker.health"]
ENTRYPOINT ["msg91-destination"]
CMD ["worker"]
