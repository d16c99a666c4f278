# Every target does its own set-up: system packages (apt, with sudo when not root) and a virtual environment in .venv.
# `make demo` and `make test` are all that a newcomer needs.

.DEFAULT_GOAL := help
PYTHON_IN_VENV := .venv/bin/python
# Usage telemetry of onnxruntime off, in tests and benchmarks as in the daemon.
export ORT_DISABLE_TELEMETRY := 1
# More tests or fewer: make test PYTEST_ARGS="-k mvdr"
PYTEST_ARGS ?=

.PHONY: help
help: ## Show the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

.PHONY: setup-demo
setup-demo:
	@scripts/setup_system.sh demo
	@scripts/setup_venv.sh demo

.PHONY: setup
setup: ## Set up for development without running anything
	@scripts/setup_system.sh test
	@scripts/setup_venv.sh test

.PHONY: demo
demo: setup-demo ## Run the whole live path for a minute, nothing attached; results in demo_out/
	.venv/bin/edge demo --out demo_out

.PHONY: test
test: setup ## Run every test that needs no torch
	$(PYTHON_IN_VENV) -m pytest -ra --ignore tests/train -m "not train" $(PYTEST_ARGS)

.PHONY: test-train
test-train: setup ## Run the tests of training and export (torch; see docs/development.md for a CPU build)
	@scripts/setup_train.sh
	$(PYTHON_IN_VENV) -m pytest -ra tests/train $(PYTEST_ARGS)

.PHONY: test-vm
test-vm: setup ## Run the device tests in an emulated machine: snd-aloop, systemd, mosquitto (docs/testing.md; slow)
	tests/vm/run.sh loopback
	tests/vm/run.sh clock
	tests/vm/run.sh service

.PHONY: lint
lint: setup ## Check style, formatting and types
	$(PYTHON_IN_VENV) -m ruff check .
	$(PYTHON_IN_VENV) -m ruff format --check .
	$(PYTHON_IN_VENV) -m mypy

.PHONY: bench
bench: setup ## Measure this machine; results in benchmarks/results/
	$(PYTHON_IN_VENV) -m benchmarks.hop_cost
	$(PYTHON_IN_VENV) -m benchmarks.startup
	$(PYTHON_IN_VENV) -m benchmarks.memory_growth

.PHONY: wheel
wheel: setup ## Build the wheel and the source archive into dist/
	$(PYTHON_IN_VENV) -m hatchling build

.PHONY: install
install: ## Install as a systemd service (root; docs/service.md)
	systemd/install.sh

.PHONY: uninstall
uninstall: ## Remove the service; the configuration stays
	systemd/install.sh --uninstall

.PHONY: lock
lock: ## Make the lock files again (needs uv)
	scripts/lock.sh

.PHONY: clean
clean: ## Remove what the targets made, the virtual environment too
	rm -rf .venv demo_out dist build .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
