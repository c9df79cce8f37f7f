# Three images, each built on the packages of the one before, so that they share layers:
# gateway (the REST API), triton (the server, its models and its supervisor), tools (every command).
# A change of the source rebuilds only the last, small layer of each.
ARG PYTHON=docker.io/library/python:3.11-slim-bookworm

FROM ${PYTHON} AS base
ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    TEZI_DATA_DIR=/data \
    NUMBA_CACHE_DIR=/data/numba \
    MPLCONFIGDIR=/tmp \
    HOME=/tmp
# The folders that volumes are mounted on: a new volume takes their owner.
RUN groupadd --gid 10001 tezi \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin tezi \
    && install --directory --owner=tezi --group=tezi /data /data/versions /data/cache
WORKDIR /opt/tezi

# Packages come from lock files only, by hash. Copied, not mounted, so that every builder notices a change.
FROM base AS gateway-packages
COPY config/docker/install config/setup/installer.lock config/docker/gateway.lock /opt/packages/
RUN /opt/packages/install gateway.lock

FROM gateway-packages AS triton-packages
# GNU's OpenMP, which some wheels need and do not contain
RUN apt-get update -qq \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/*
COPY config/docker/triton.lock /opt/packages/
RUN /opt/packages/install triton.lock

FROM triton-packages AS tools-packages
COPY requirements.lock /opt/packages/
RUN /opt/packages/install requirements.lock

# Tezi as a wheel, with the configurations that it needs.
FROM base AS source
COPY pyproject.toml ./
COPY config/nginx config/nginx
COPY config/nginx_load_balancer.conf config/nginx_load_balancer.conf
COPY backends backends
COPY model_repository model_repository
COPY preprocess preprocess
COPY gateway gateway
COPY config/setup/installer.lock /tmp/installer.lock
RUN python3 -m pip install --quiet --no-cache-dir --disable-pip-version-check \
        --root-user-action=ignore --require-hashes --target /tools -r /tmp/installer.lock \
    && PYTHONPATH=/tools python3 -m hatchling build -t wheel -d /wheels \
    && /tools/bin/uv pip install --quiet --no-cache --system-certs --target /installed \
        --compile-bytecode --no-deps /wheels/*.whl \
    && mv /installed/bin /commands

FROM gateway-packages AS gateway
COPY --from=source /installed /usr/local/lib/python3.11/site-packages
COPY --from=source /commands /usr/local/bin
USER 10001:10001
EXPOSE 8080
CMD ["python3", "-m", "gateway"]

FROM triton-packages AS triton
COPY --from=source /installed /usr/local/lib/python3.11/site-packages
COPY --from=source /commands /usr/local/bin
USER 10001:10001
EXPOSE 8000 8001 8002
CMD ["tezi", "serve-triton"]

FROM tools-packages AS tools
COPY --from=source /installed /usr/local/lib/python3.11/site-packages
COPY --from=source /commands /usr/local/bin
USER 10001:10001
ENTRYPOINT ["tezi"]
CMD ["--help"]
