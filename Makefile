# Everything medfuse needs is set up by the targets themselves; .venv is made once and made again when pyproject changes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CHECKS := medfuse dashboard tests

.PHONY: demo test setup clean

# The editable install resolves torch and torchvision together; the import shows that they are of one build.
$(VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]'
	$(BIN)/python -c "import torch, torchvision; torchvision.ops.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)" \
	  || { echo "torch and torchvision are of different builds: remove $(VENV) and install both from one index"; exit 1; }
	touch $@

setup: $(VENV)/.ready

demo: setup
	rm -rf medfuse-demo
	$(BIN)/medfuse demo --out medfuse-demo

test: setup
	$(BIN)/ruff check $(CHECKS)
	$(BIN)/ruff format --check $(CHECKS)
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m pytest -q -n 2 --dist loadgroup

clean:
	rm -rf $(VENV) medfuse-demo medfuse-review dist
