# demo and test do all their set-up themselves, into .venv; they need make and Python 3.11, 3.12 or 3.13.
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
  $$p -c '$(SUPPORTED)' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
READY := .venv/.ready
RIVALS := .venv-rivals
TYPES := .venv/types/edge_squeeze

.PHONY: demo test test-slow clients rivals apk android-test ranges rewrites lint format bench clean

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
	$(BIN)/python -m pytest -n 2 --dist worksteal -m slow $(ARGS)

# Downloads a dozen runtimes, once, into the cache; Chromium and Node.js only for those of the browser.
clients: $(READY)
	@$(BIN)/python tests/clients/run_clients.py $(ARGS)

# Our files beside those of other converters and quantizers: make rivals WEIGHTS=FILE IMAGES=DIR, the weights being those
# of SqueezeNet 1.0. Neither has to be given.
rivals: $(RIVALS)/.ready
	@$(RIVALS)/bin/python tests/rivals.py $(if $(WEIGHTS),--weights "$(WEIGHTS)") $(if $(IMAGES),--images "$(IMAGES)") $(ARGS)

# These two need a JDK 17, Maven and a few Debian packages; they name what is missing.
apk: $(READY)
	@$(BIN)/python android_demo/tools/apk.py $(ARGS)

android-test: $(READY)
	@$(BIN)/python android_demo/tools/android_test.py $(ARGS)

bench: $(READY)
	$(BIN)/edge-squeeze benchmark out/*/ $(ARGS)

# The ranges and tuned weights that the package ships: make ranges IMAGES=FOLDER WEIGHTS=FILE, the latter SqueezeNet 1.0's
# weights. What is recorded of the pictures is their names and hashes.
ranges: $(READY)
	out=$$(mktemp -d) && cd "$(IMAGES)/.." && for network in 1.1 1.0; do for quantizer in stock tuned; do \
	  [ $$network = 1.1 ] || weights="--weights $(WEIGHTS)"; \
	  effort=; suffix=-stock; [ $$quantizer = stock ] || { effort="--effort full"; suffix=; }; \
	  $(CURDIR)/$(BIN)/edge-squeeze export squeezenet$$network $$weights --precision int8 \
	    --calibration "$(notdir $(IMAGES))" --quantizer $$quantizer $$effort --out $$out \
	    && cp $$out/squeezenet$$network-tflite-int8$$suffix/calibration.json \
	      $(CURDIR)/converters/quantization/shipped/squeezenet$$network-$$quantizer.json || exit 1; \
	done; done

# What each optional rewrite saves on this machine, for `export --rewrites auto`: make rewrites WEIGHTS=FILE, those of
# SqueezeNet 1.0.
rewrites: $(READY)
	$(BIN)/python tests/helpers/measure_rewrites.py $(WEIGHTS)

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
	rm -rf .venv $(RIVALS) out trained build *.egg-info
	@# not the key: a phone refuses an update that is signed with another
	test ! -d android_demo/build || find android_demo/build -mindepth 1 -not -name debug.keystore -delete

# A .venv without .ready in it is unfinished: what is there is used only if it works, and made anew otherwise.
$(READY): pyproject.toml constraints.txt
	@echo "Setting up .venv, once: about 510 MB of downloads, 2.2 GB on disk."
	@test -n "$(PYTHON)" || { echo "Error: Python 3.11, 3.12 or 3.13 is required, and none of them is on PATH." \
	  "On Debian or Ubuntu: apt-get install python3 python3-venv. Elsewhere: make PYTHON=/path/to/python3.12"; exit 1; }
	@$(PYTHON) -c '$(SUPPORTED)' || { echo "Error: Python 3.11, 3.12 or 3.13 is required, got" \
	  "$$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12"; exit 1; }
	@{ test -d .venv && $(BIN)/python -c '$(SUPPORTED)' && { command -v uv || $(BIN)/python -c 'import pip'; }; } \
	  >/dev/null 2>&1 || { echo "[1/3] Create .venv with $$($(PYTHON) --version)"; rm -rf .venv; \
	  $(PYTHON) -m venv .venv || { rm -rf .venv; echo "Error: Python could not create .venv; its reason is above." \
	  "On Debian or Ubuntu: apt-get install python3-venv"; exit 1; }; }
	@command -v uv >/dev/null || test -x $(BIN)/uv || { echo "[2/3] Install uv, which downloads faster than pip"; \
	  $(BIN)/python -m pip install -q -c constraints.txt uv || echo "uv cannot be installed here; pip does its work."; }
	@echo "[3/3] Download and install the packages of constraints.txt"
	@PATH="$$PATH:$(BIN)"; if command -v uv >/dev/null; \
	  then uv pip install --compile-bytecode --python $(BIN)/python -c constraints.txt -e ".[export-cpu,train,dev]"; \
	  else $(BIN)/python -m pip install -c constraints.txt -e ".[export-cpu,train,dev]"; fi
	@touch $@

$(RIVALS)/.ready: $(READY) tests/rivals.txt
	@echo "Setting up $(RIVALS), once: another 240 MB of downloads, 2.1 GB on disk."
	@rm -rf $(RIVALS) && $(BIN)/python -m venv $(RIVALS)
	@PATH="$$PATH:$(BIN)"; install="$(RIVALS)/bin/python -m pip install"; \
	  ! command -v uv >/dev/null || install="uv pip install --python $(RIVALS)/bin/python"; \
	  $$install -c constraints.txt -e ".[export-cpu]" && $$install -c constraints.txt --no-deps -r tests/rivals.txt
	@touch $@
