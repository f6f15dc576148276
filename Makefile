# make book | make test | make serve | make test-backends | make clean; each sets itself up.
.PHONY: setup setup-jax setup-torch book test serve test-backends chapters-here links lock repository clean
.DEFAULT_GOAL := book
export PYTHON
export TF_CPP_MIN_LOG_LEVEL ?= 3
# Without AVX-512 TensorFlow leaves its fast convolutions (oneDNN) off, and a step takes up to half as long again.
export TF_ENABLE_ONEDNN_OPTS ?= 1
# Without its bytecode, every Python would compile TensorFlow anew.
unexport PYTHONDONTWRITEBYTECODE
python := .venv/bin/python
parallel := -n 2 --dist worksteal
pytest := $(python) -m pytest $(parallel)
# Tests and chapters run two at a time: each gets half of the cores, or they would stand in each other's way.
half := $(shell cores=$$(getconf _NPROCESSORS_ONLN); echo $$(((cores + 1) / 2)))
export TF_NUM_INTRAOP_THREADS ?= $(half)
export OMP_NUM_THREADS ?= $(half)
# XLA would spend half of the tests' time on JAX on making programs fast that run once.
hasty := --xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false \
  --xla_cpu_parallel_codegen_split_count=1 --xla_cpu_multi_thread_eigen=false

setup:
	@tools/setup.sh .venv requirements.txt
setup-jax:
	@tools/setup.sh .venv-jax requirements-jax.txt
setup-torch:
	@tools/setup.sh .venv-torch requirements-torch.txt requirements-torch-alone.txt

# Execute the chapters that changed, then build the site from the executed copies.
book: setup
	@$(python) -m tools.book

# Style and types; unit, contract, doctest and layout tests; the chapters and the site; then tests of the built site.
test: setup
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@XLA_FLAGS="$(hasty)" $(pytest) --ignore=tests/site
	@$(python) -m tools.book
	@$(pytest) --confcutdir=tests/site tests/site

serve: book
	@$(python) -m http.server --bind localhost --directory build/site/_build/html 8000

# The contract on JAX and PyTorch, and parity with keras.applications and Hugging Face transformers, in environments of
# their own. JAX compiles every operation anew for every size, so there ConvNeXt and the contract stand for all networks,
# and what reads graphs and files is left to PyTorch; for each test that could run on JAX, as with every push:
# make test-backends JAX_ALSO='$(others)'. (How many parameters a size has does not depend on the backend.)
portable := tests/test_contracts.py tests/test_other_backends.py tests/layers tests/training tests/metrics tests/predict tests/data/test_epochs.py -m "not slow" -k "not published_size"
others := tests/models tests/convert tests/measure
JAX_ALSO ?= tests/models/test_convnext.py
test-backends: setup-jax setup-torch
	KERAS_BACKEND=jax XLA_FLAGS="$(hasty)" .venv-jax/bin/python -m pytest $(parallel) $(portable) $(JAX_ALSO)
	KERAS_BACKEND=torch .venv-torch/bin/python -m pytest $(parallel) $(portable) $(others) tests/distributed tests/benchmarks/test_depthwise.py tests/benchmarks/test_bfloat16.py

# Every chapter alone, in an empty directory, with the Python at hand: what Colab does. What the chapters of part 5
# install in Colab's notebooks is installed here beforehand; the exports' packages must not move the NumPy that is there.
extra := python3 -c "import sys, tomllib; project = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
  print(*project['optional-dependencies'][sys.argv[1]])"
chapters-here:
	python3 -m pip install -q nbmake
	python3 -m pip install -q --no-deps . $$($(extra) export)
	python3 -m pip install -q $$($(extra) serve)
	rm -rf build/alone && mkdir -p build/alone && cp book/[0-9]*/*.ipynb build/alone
	cd build/alone && python3 -m pytest --nbmake --nbmake-timeout=900 -c ../../tools/notebooks.ini .

# Follow every link of the book; on the weekly schedule, since the web fails on its own.
links: book
	@.venv/bin/jupyter-book build build/source --path-output build/links --builder linkcheck

# Resolve requirements.txt anew from the lower bounds in pyproject.toml.
lock:
	@{ echo "# What 'make' installs, exactly. Made by 'make lock' from pyproject.toml."; \
	  uv pip compile --quiet --universal --no-header --no-annotate \
	    --extra tensorflow --extra jax --extra book --extra export --extra serve --extra test pyproject.toml; } > requirements.txt

# Move the book to another address: make repository URL=https://github.com/you/your-book
repository: setup
	@$(python) -m tools.repository $(URL)

clean:
	rm -rf build _build .venv .venv-jax .venv-torch .pytest_cache .ruff_cache .mypy_cache .hypothesis
