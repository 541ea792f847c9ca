# Every target works on a fresh machine: it makes the virtual environment and builds the package if need be.
PYTHON ?= python3
VENV ?= .venv
# What `make test` and its kin install besides the package: an extra of pyproject.toml, or several with commas.
EXTRAS ?= test
# More options for pytest, e.g. make test PYTEST='-k lstm'.
PYTEST ?=

# Tests are many and small: two processes and more share them, the slow ones by file, for files share what they build.
PARALLEL = -n auto --maxprocesses 8 -p no:benchmark

BIN = $(VENV)/bin
# setuptools warns of every editable installation that it is one.
PIP = PYTHONWARNINGS='ignore:Editable installation' \
	$(BIN)/python -m pip --disable-pip-version-check install --quiet --progress-bar off
# What makes an installed package out of date; what of it has to be rebuilt, the build finds out.
SOURCES := pyproject.toml setup.py $(shell find objc metal mpsrnn_cy -name __pycache__ -prune -o \
	\( -name '*.[cmh]' -o -name '*.metal' -o -name '*.p[xy][xd]' -o -path 'metal/host/*' -o -path 'objc/*.py' \) -type f -print)

.PHONY: dev demo test slow bench sweep lint asan tsan ubsan clean
.DELETE_ON_ERROR:

dev: $(VENV)/.installed-dev

demo: $(VENV)/.installed-demo
	$(BIN)/python -m mpsrnn_cy demo

test: $(VENV)/.installed-$(EXTRAS)
	$(BIN)/python -m pytest $(PARALLEL) --dist worksteal $(PYTEST)

slow: $(VENV)/.installed-$(EXTRAS)
	$(BIN)/python -m pytest -m slow $(PARALLEL) --dist loadfile $(PYTEST)

bench: $(VENV)/.installed-bench
	MPSRNN_VALIDATION=0 $(BIN)/python -m pytest tests/benchmarks -o 'python_files=bench_*.py' $(PYTEST)

# The plots of docs/performance.md.
sweep: $(VENV)/.installed-bench
	MPSRNN_VALIDATION=0 PYTHONPATH=tests:objc:metal $(BIN)/python -m benchmarks.sweep docs/sizes.svg

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	PATH="$(BIN):$$PATH" $(BIN)/cython-lint --max-line-length 120 mpsrnn_cy
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest mpsrnn_cy --mypy-config-file pyproject.toml \
		--allowlist tests/stubtest-allowlist.txt --ignore-unused-allowlist
	$(BIN)/python metal/host lint metal/*.metal

# The tests on a package of its own that is built with a sanitizer, whose library Python has to load first. Leaks are
# not looked for: Python itself leaves much to the end of the process.
asan: SANITIZER = address
tsan: SANITIZER = thread
ubsan: SANITIZER = undefined
asan tsan ubsan: $(VENV)/.installed-$(EXTRAS)
	MPSRNN_SANITIZE=$(SANITIZER) $(PIP) --no-build-isolation --no-deps --upgrade --target build/$@ .
	LD_PRELOAD=$$($${CC:-gcc} -print-file-name=lib$@.so) ASAN_OPTIONS=detect_leaks=0 PYTHONPATH=$(CURDIR)/build/$@ \
		$(BIN)/pytest $(PYTEST)

clean:
	rm -rf build dist *.egg-info mpsrnn_cy/*.so mpsrnn_cy/include $(VENV)

# A virtual environment is seeded with whatever pip and setuptools the Python came with.
$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade pip
	$(PIP) --group build

$(VENV)/.installed-%: $(SOURCES) | $(BIN)/python
	$(PIP) --no-build-isolation --editable '.[$*]'
	touch $@
