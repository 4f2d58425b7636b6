# `make help` lists what there is.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.fgaseg_d2-installed
# For another build of PyTorch, for example:
#   make install TORCH="torch torchvision --index-url https://download.pytorch.org/whl/cpu"
TORCH ?= torch torchvision
CONSTRAINTS ?= constraints.txt
PYTEST_ARGS ?= -q -n 2 --dist loadfile
# What the scenes in demo/scenes show.
WORDS ?= blue car,sun,green umbrella,red mushroom,checked house,yellow tree,sky,striped umbrella,road,yellow balloon,sand,hill,checked mushroom,yellow boat,cloud,blue flower,checked tree,checked balloon,red house,checked boat,green cat,meadow,dotted cat,red tree,purple car,yellow fish,green boat,blue cat,purple kite,blue house,yellow house,red car,dotted car,striped car,checked bird,yellow flower,sea,snow,mountain
DEMO_OUTPUT ?= output/demo

.PHONY: help install test test-all demo lint

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## */  make \1\t/' | expand -t 18

install: $(STAMP)  ## set up .venv with everything (again only if the requirements changed)

$(STAMP): setup.py $(CONSTRAINTS) tools/install_detectron2.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "error: Python 3.10 or later is needed; choose one, such as: make install PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -c $(CONSTRAINTS) $(TORCH)
	$(BIN)/python tools/install_detectron2.py -c $(CONSTRAINTS)
	$(BIN)/python -m pip install -c $(CONSTRAINTS) -e ".[test,dev]"
	@touch $@

# Within 25 minutes of processor time, which `time` says at the end.
test: install  ## run the tests, all but the slow ones
	OMP_NUM_THREADS=1 bash -c 'time $(BIN)/python -m pytest -m "not slow" $(PYTEST_ARGS)'

test-all: install  ## run all tests
	OMP_NUM_THREADS=1 bash -c 'time $(BIN)/python -m pytest $(PYTEST_ARGS)'

demo: install  ## segment the pictures in demo/scenes by words
	$(BIN)/python demo/demo.py --input demo/scenes --vocab "$(WORDS)" --output $(DEMO_OUTPUT)
	@echo "The pictures are in $(DEMO_OUTPUT)"

lint: install  ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
