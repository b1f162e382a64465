# The commands of this repository; `make` alone lists them. Every target runs
# `make deps` first, which installs missing packages.

BUN := node_modules/.bin/bun

.DEFAULT_GOAL := help
.PHONY: help deps build executables release reproduce image deploy deploy-check platforms check fmt test demo torture torture-defect mutate cluster bare upgrade bench clean
# Targets share node_modules and dist, and `make bench` needs an idle machine.
.NOTPARALLEL:

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

deps: ## install what is missing: npm packages, Debian packages
	@scripts/deps.sh

build: deps ## compile dist/genie for this machine
	@$(BUN) scripts/build.ts

executables: deps
	@$(BUN) scripts/build.ts --release

release: image ## write a release to dist: executables, image, chart, SBOM, notes, SHA256SUMS
	@$(BUN) scripts/release.ts

reproduce: deps ## make the release twice and compare the bytes
	@$(BUN) scripts/reproduce.ts

image: executables ## write dist/genie-image.tar, an OCI archive for amd64 and arm64: IMAGE=name:tag
	@$(BUN) scripts/image.ts $(if $(IMAGE),--name "$(IMAGE)")

deploy: deps ## write deploy/: a kustomize base and a Helm chart of genie manifest
	@$(BUN) scripts/deploy.ts

deploy-check: deps ## lint and render deploy/ with the real helm and kubectl
	@$(BUN) tests/cluster/deploy-check.ts

platforms: executables ## run whole pods with the executables for arm64 (qemu) and for musl
	@scripts/deps.sh qemu-user-static libc6-arm64-cross python3-pip
	@$(BUN) tests/platforms/platforms.ts

check: deps ## format, lint, types, layering; changes nothing
	$(BUN) fmt --check
	$(BUN) run --bun oxlint --deny-warnings
	$(BUN) check
	$(BUN) test --isolate tests/layering.test.ts

fmt: deps ## format every file
	@$(BUN) fmt

test: build ## run all test suites; the last line has the counts
	@$(BUN) scripts/test.ts

demo: build ## attach pods to real networks, step by step
	@$(BUN) demo/demo.ts

torture: build ## add and delete pods under faults: SEED=… ROUNDS=…
	@$(BUN) torture/torture.ts --seed "$(SEED)" --rounds "$(ROUNDS)"

torture-defect: deps ## check that the torture finds defects put in on purpose: DEFECT=…
	@$(BUN) torture/defect.ts "$(DEFECT)"

mutate: deps ## change operators and constants, drop statements; show what no test finds: MUTANTS=… SEED=… ROOM=lib/agent UNIT=1 TESTS=tests/agent
	@$(BUN) scripts/mutate.ts $(if $(MUTANTS),--mutants "$(MUTANTS)") $(if $(SEED),--seed "$(SEED)") $(if $(UNIT),--unit) $(addprefix --room ,$(ROOM)) $(addprefix --tests ,$(TESTS))

cluster: build image ## run pods in a real cluster of one node: KUBERNETES=version CONTAINERD=version LONG=1 (a long outage, too)
	@GENIE_BINARY=dist/genie $(BUN) tests/cluster/cluster.ts --report dist/cluster-report.txt --logs dist/cluster-logs $(if $(LONG),--long)

bare: ## make demo and make test on a bare Debian, which debootstrap makes in a directory
	@tests/bare.sh

upgrade: build ## upgrade from 0.1.0 (built from the history) and roll back, under load
	@GENIE_BINARY=dist/genie $(BUN) test --isolate --timeout 60000 ./tests/upgrade/upgrade.ts

bench: deps ## measure the release build (docs/performance.md): ROUNDS=… API=real SCALE=1 AGENT=1 PLOT=1 MULTUS=…
	@$(BUN) scripts/build.ts --profile --dist dist/bench
	@$(BUN) bench/$(if $(SCALE),scale,$(if $(AGENT),agent,bench)).ts

clean: ## remove what was built
	rm -rf dist bench/report.json
