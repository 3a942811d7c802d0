# One file, a target for each program: orchestrator, protector, invader. Builds with and without BuildKit.
#
# What was downloaded stays out of the images: packages come without caches, and neither compiler nor tests are there.

ARG BASE_IMAGE=python:3.11-slim-bookworm

FROM ${BASE_IMAGE} AS base
# Folders that volumes are mounted on belong to the user that the programs run as; a new volume takes that over.
RUN groupadd --gid 10001 deid \
 && useradd --uid 10001 --gid deid --no-create-home --home-dir /tmp --shell /usr/sbin/nologin deid \
 && install -d -o deid -g deid -m 0700 /runs /ledger /certificates/protector /certificates/invader /certificates/orchestrator
ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    GRPC_VERBOSITY=NONE \
    PYTHONPATH=/app
WORKDIR /app

# The project as a wheel, unpacked; each program takes its own part.
FROM base AS project
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_TRUSTED_HOST
COPY requirements/build.lock /source/
RUN python3 -m venv --without-pip /opt/venv \
 && python3 -m pip --python /opt/venv/bin/python install --quiet --no-cache-dir --no-deps --require-hashes -r /source/build.lock
ENV PATH=/opt/venv/bin:$PATH
COPY pyproject.toml README.md LICENSE /source/
COPY protos /source/protos
COPY command_line /source/command_line
COPY rpc /source/rpc
COPY synthetic_faces /source/synthetic_faces
COPY recognizers /source/recognizers
COPY conformance /source/conformance
COPY orchestrator /source/orchestrator
COPY protector_service /source/protector_service
COPY invader_service /source/invader_service
RUN cd /source && hatchling build --target wheel --directory /wheel \
 && python3 -m zipfile --extract /wheel/*.whl /project

FROM base AS orchestrator
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_TRUSTED_HOST
COPY requirements/orchestrator.lock /tmp/
RUN python3 -m venv --without-pip /opt/venv \
 && python3 -m pip --python /opt/venv/bin/python install --quiet --no-cache-dir --no-deps --require-hashes \
      -r /tmp/orchestrator.lock \
 && rm /tmp/orchestrator.lock
ENV PATH=/opt/venv/bin:$PATH
COPY --from=project /project/face_deid_bench-*.dist-info /app/face_deid_bench.dist-info
COPY --from=project /project/deid /app/deid
COPY --from=project /project/command_line /app/command_line
COPY --from=project /project/rpc /app/rpc
COPY --from=project /project/synthetic_faces /app/synthetic_faces
COPY --from=project /project/conformance /app/conformance
COPY --from=project /project/orchestrator /app/orchestrator
USER deid
ENTRYPOINT ["python", "-P", "-m", "orchestrator"]

# What both services share: torch is most of it.
FROM base AS services
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_TRUSTED_HOST
COPY requirements/services.lock /tmp/
RUN python3 -m venv --without-pip /opt/venv \
 && python3 -m pip --python /opt/venv/bin/python install --quiet --no-cache-dir --no-deps --require-hashes \
      -r /tmp/services.lock \
 && rm /tmp/services.lock
# Threads that wait by spinning would take the other service's cores.
ENV PATH=/opt/venv/bin:$PATH \
    OMP_WAIT_POLICY=PASSIVE
COPY --from=project /project/face_deid_bench-*.dist-info /app/face_deid_bench.dist-info
COPY --from=project /project/deid /app/deid
COPY --from=project /project/command_line /app/command_line
COPY --from=project /project/rpc /app/rpc
COPY --from=project /project/recognizers /app/recognizers

FROM services AS protector
COPY --from=project /project/protector_service /app/protector_service
USER deid
ENTRYPOINT ["python", "-P", "-m", "protector_service"]

FROM services AS invader
COPY --from=project /project/invader_service /app/invader_service
USER deid
ENTRYPOINT ["python", "-P", "-m", "invader_service"]
