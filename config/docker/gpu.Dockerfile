# Triton in NVIDIA's container, whose ONNX Runtime backend computes on GPUs. The Python of 24.10 is 3.10 and
# Tezi needs 3.11: uv installs one, and the wheel of the same release has the Python backend's stub for it.
ARG TRITON=nvcr.io/nvidia/tritonserver:24.10-py3

FROM ${TRITON} AS packages
ENV UV_PYTHON_INSTALL_DIR=/opt/python \
    PYTHONUNBUFFERED=1
COPY config/setup/installer.lock config/docker/triton.lock /opt/packages/
RUN python3 -m pip install --quiet --no-cache-dir --require-hashes --target /tmp/uv -r /opt/packages/installer.lock \
    && /tmp/uv/bin/uv python install 3.11 \
    && /tmp/uv/bin/uv venv --python 3.11 /opt/venv \
    && /tmp/uv/bin/uv pip install --quiet --python /opt/venv --no-cache --compile-bytecode \
        --require-hashes -r /opt/packages/triton.lock \
    && dirname "$(find /opt/python -name libpython3.11.so.1.0)" > /etc/ld.so.conf.d/python3.11.conf \
    && ldconfig \
    && cp /opt/venv/lib/python3.11/site-packages/pytriton/tritonserver/python_backend_stubs/3.11/triton_python_backend_stub \
        /opt/tritonserver/backends/python/ \
    && rm -rf /tmp/uv

FROM packages AS triton
ENV PATH=/opt/venv/bin:${PATH} \
    PYTHONDONTWRITEBYTECODE=1 \
    TEZI_DATA_DIR=/data \
    TEZI_TRITON_ROOT=/opt/tritonserver \
    NUMBA_CACHE_DIR=/data/numba \
    HOME=/tmp
WORKDIR /opt/tezi
COPY pyproject.toml ./
COPY config/nginx config/nginx
COPY config/nginx_load_balancer.conf config/nginx_load_balancer.conf
COPY backends backends
COPY model_repository model_repository
COPY preprocess preprocess
COPY gateway gateway
RUN /usr/bin/python3 -m pip install --quiet --no-cache-dir --require-hashes --target /tmp/uv -r /opt/packages/installer.lock \
    && PYTHONPATH=/tmp/uv /usr/bin/python3 -m hatchling build -t wheel -d /tmp/wheels \
    && /tmp/uv/bin/uv pip install --quiet --python /opt/venv --no-cache --no-deps /tmp/wheels/*.whl \
    && groupadd --gid 10001 tezi \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin tezi \
    && install --directory --owner=tezi --group=tezi /data /data/versions /data/cache \
    && rm -rf /tmp/uv /tmp/wheels /opt/tezi/*
USER 10001:10001
EXPOSE 8000 8001 8002
# NVIDIA's entry point prints a banner, and needs a writable folder.
ENTRYPOINT []
CMD ["tezi", "serve-triton"]
