# make test | test-slow | test-extras | demo | compare | lint | wheel [PYTHON=python3.12] [VENV=.venv-row2]
# The first call builds VENV from PYTHON, later calls only run.
PYTHON ?= python3
VENV ?= .venv

# Looked at before any rule runs, so that an unsuitable Python leaves nothing behind. Understood by Python 2 too.
MINOR := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
ROW := $(if $(filter 3.10 3.11,$(MINOR)),1)$(if $(filter 3.12 3.13,$(MINOR)),2)
ifeq ($(ROW),)
$(error tfdeblur needs Python 3.10 to 3.13, PYTHON=$(PYTHON) $(if $(MINOR),is $(MINOR),does not run))
endif

CONSTRAINTS := constraints/row$(ROW).txt
# Written last, so it says that the install is complete, and for which Python: no stamp of this Python's
# means a venv that is missing, half installed or another Python's, and it is built from scratch.
STAMP := $(VENV)/installed-$(MINOR)

.PHONY: test test-slow test-extras demo compare lint wheel

# Two processes: the time goes into tracing, which is Python. A class stays in one, for its fixtures.
test: $(STAMP)
	$(VENV)/bin/python -m pytest -n 2 --dist loadscope

# 5 is pytest's word for "no test is marked slow", which is no failure.
test-slow: $(STAMP)
	$(VENV)/bin/python -m pytest -m slow -n 2 --dist loadscope || test $$? -eq 5

# What is skipped where the extras are missing, quick and slow. Row 1, where one environment holds them all; Debian's
# chromium and chromium-driver have to be there for the tests in a browser.
test-extras: $(STAMP)
	$(VENV)/bin/python -m pip install -qq --constraint $(CONSTRAINTS) --build-constraint $(CONSTRAINTS) \
		--editable '.[test,beam,onnx,openvino,web]' playwright selenium tensorflow-serving-api
	$(VENV)/bin/python -m pytest -n 2 --dist loadscope -m "slow or not slow" -k "not test_tflite" tests/cli/test_web.py \
		tests/test_many.py tests/test_runtimes.py tests/test_serving_page.py tests/test_study.py tests/test_web.py

demo: $(STAMP)
	$(VENV)/bin/tfdeblur demo --out runs/demo

# About an hour on two cores; the same command goes on where it was interrupted.
compare: $(STAMP)
	TFDEBLUR=$(VENV)/bin/tfdeblur experiments/compare/run.sh runs/compare

lint: $(STAMP)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

# build/ goes first: setuptools would pack modules that have been deleted since it was made.
wheel: $(STAMP)
	rm -rf build
	$(VENV)/bin/python -m pip wheel -qq --no-deps --build-constraint $(CONSTRAINTS) --wheel-dir dist .

# -qq: errors only, as pip's and setuptools' warnings here are not for whoever runs make.
# --clear only where a venv lies: it empties the folder that it is given.
$(STAMP): requirements.txt setup.py $(CONSTRAINTS)
	@echo "Installing tensorflow and the rest for Python $(MINOR) into $(VENV): a minute or two, once"
	test -e $@ || $(PYTHON) -m venv $$(test ! -e $(VENV)/pyvenv.cfg || echo --clear) $(VENV)
	rm -f $@
	$(VENV)/bin/python -m pip install -qq --upgrade pip --constraint $(CONSTRAINTS)
	$(VENV)/bin/python -m pip install -qq --constraint $(CONSTRAINTS) --build-constraint $(CONSTRAINTS) \
		--requirement requirements.txt --editable '.[test]'
	touch $@
