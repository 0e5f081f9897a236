# The serving set in one image: libraries, configuration and the production archive. None of our
# own code lies outside the archive, and no PYTHONPATH is set, so each version runs its own.
#
#   docker build --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cpu -t pm25 .
#   docker run --rm -p 127.0.0.1:8080:8080 pm25
#
# There are no tokens and no rate limit here: publish it on loopback only, behind a proxy.
# This file was checked with hadolint and read with care, but has not been built.

FROM python:3.11.14-slim-bookworm@sha256:65a93d69fa75478d554f4ad27c85c1e69fa184956261b4301ebaf6dbb0a3543d AS libraries
ARG TORCH_INDEX=""
WORKDIR /build
COPY pyproject.toml requirements.lock ./
RUN python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" > serving.txt \
    && python -m venv /opt/pm25 \
    && /opt/pm25/bin/pip install --no-cache-dir --constraint requirements.lock \
        ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} --requirement serving.txt

FROM python:3.11.14-slim-bookworm@sha256:65a93d69fa75478d554f4ad27c85c1e69fa184956261b4301ebaf6dbb0a3543d
RUN apt-get update \
    && apt-get install -y --no-install-recommends openjdk-17-jre-headless=17.* \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home pm25 \
    && install --directory --owner=10001 --mode=700 /var/lib/pm25
COPY --from=libraries /opt/pm25 /opt/pm25
WORKDIR /srv/pm25
COPY config.properties ./
COPY infra/torchserve infra/torchserve
COPY model_store model_store
# Inference must be reachable from outside the container; management and metrics stay on loopback.
RUN sed 's#^inference_address=.*#inference_address=http://0.0.0.0:8080#' config.properties > container.properties
USER 10001
ENV PATH=/opt/pm25/bin:$PATH \
    OMP_NUM_THREADS=1 \
    LOG_LOCATION=/home/pm25/logs \
    METRICS_LOCATION=/home/pm25/logs \
    PM25_PREDICTION_LOG=/var/lib/pm25/predictions.db
# The prediction log outlives the container.
VOLUME /var/lib/pm25
EXPOSE 8080
# As process 1 the wrapper ignores SIGTERM; SIGINT ends it, and the container's JVM with it.
STOPSIGNAL SIGINT
# /ping says Healthy even without a worker: only a worker that is READY has loaded the model.
HEALTHCHECK --start-period=60s --interval=30s --timeout=5s CMD ["python", "-c", "import json, urllib.request as u; workers = json.load(u.urlopen('http://127.0.0.1:8081/models/pm25'))[0]['workers']; raise SystemExit(all(w['status'] != 'READY' for w in workers))"]
CMD ["sh", "-c", "exec torchserve --foreground --ncs --ts-config container.properties --log-config infra/torchserve/log4j2.xml --models \"pm25=$(cat model_store/production)\""]
