# demo and test do all their set-up themselves, into .venv; they need Python 3.11 or newer and make.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
READY := .venv/.ready
TYPES := .venv/types/edge_squeeze

.PHONY: demo test test-slow apk android-test lint format bench clean

# The last lines name the next commands for all three; each would name its own.
demo: export EDGE_SQUEEZE_NO_NEXT := 1
demo: $(READY)
	$(BIN)/edge-squeeze export --format all --precision float32,int8
	@echo
	$(BIN)/edge-squeeze benchmark $(addprefix out/squeezenet1.1-,tflite-float32 tflite-int8 onnx-float32) --profile quick --threads 1
	@echo
	$(BIN)/edge-squeeze predict out/squeezenet1.1-tflite-int8 out/squeezenet1.1-tflite-int8/golden/picture.png
	@printf '\nNext, with PICTURE, DIR and OTHER_DIR of your own:\n'
	@echo '  $(BIN)/edge-squeeze predict out/squeezenet1.1-tflite-int8 PICTURE'
	@echo '  $(BIN)/edge-squeeze export --precision int8 --calibration DIR --images OTHER_DIR'
	@echo '  $(BIN)/edge-squeeze verify out/squeezenet1.1-tflite-int8 --images OTHER_DIR'

test: $(READY)
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow" $(ARGS)
	@echo "Not run: make test-slow (repeated, emulated and other engines' checks; the Android app: make android-test, make apk)"

test-slow: $(READY)
	$(BIN)/python -m pytest -n 2 -m slow $(ARGS)

# These two need a JDK 17, Maven and a few Debian packages; they name what is missing.
apk: $(READY)
	@$(BIN)/python android_demo/tools/apk.py $(ARGS)

android-test: $(READY)
	@$(BIN)/python android_demo/tools/android_test.py $(ARGS)

bench: $(READY)
	$(BIN)/edge-squeeze benchmark out/*/ $(ARGS)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@# mypy wants a package's folders where its imports say they are
	@rm -rf $(TYPES) && mkdir -p $(TYPES) && ln -s $(CURDIR)/edge_squeeze/* $(CURDIR)/converters $(CURDIR)/benchmarks $(TYPES)/
	@ln -sfn $(CURDIR)/android_demo/tools $(dir $(TYPES))android_tools
	cd $(dir $(TYPES)) && $(CURDIR)/$(BIN)/mypy --config-file $(CURDIR)/pyproject.toml -p edge_squeeze
	cd $(dir $(TYPES)) && MYPYPATH=. $(CURDIR)/$(BIN)/mypy --config-file $(CURDIR)/pyproject.toml android_tools

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv out trained build *.egg-info
	@# not the key: a phone refuses an update that is signed with another
	test ! -d android_demo/build || find android_demo/build -mindepth 1 -not -name debug.keystore -delete

$(READY): pyproject.toml constraints.txt
	@echo "Setting up .venv (once; downloads about 400 MB) ..."
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is required, and none was found."; exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit(f"Python 3.11 or newer is required, got {v[0]}.{v[1]}. Try: make PYTHON=python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { echo "Python's venv is missing. On Debian: apt-get install python3-venv"; exit 1; }
	@command -v uv >/dev/null || test -x $(BIN)/uv || $(BIN)/python -m pip install -q -c constraints.txt uv || true
	@PATH="$$PATH:$(BIN)"; if command -v uv >/dev/null; \
	  then uv pip install -q --compile-bytecode --python $(BIN)/python -c constraints.txt -e ".[export,train,dev]"; \
	  else $(BIN)/python -m pip install -q -c constraints.txt -e ".[export,train,dev]"; fi
	@touch $@
