# Everything a developer does with Vigil. `make` lists the targets.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory

# What `vigil version` prints: the nearest tag and commit, or "dev" outside a repository.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
STAMP ?= $(shell TZ=UTC git log -1 --date=format-local:%Y-%m-%dT%H:%M:%SZ --format='-X main.commit=%H -X main.date=%cd' 2>/dev/null)
# Options for the demo: make demo DEMO_FLAGS='--fresh'
DEMO_FLAGS ?=
# Options for the comparison: make bench BENCH_FLAGS='--rounds 1'
BENCH_FLAGS ?=
# How many exams `make simulate` plays, and from which seed on; empty: a new one.
SEEDS ?= 1000
SEED ?=
# For what `make release` and `make release-check` build, such as linux/amd64; empty: for all.
PLATFORMS ?=
# How long each fuzz target runs in `make fuzz`.
FUZZTIME ?= 10s

# Pure Go: the binary and the quick tests build alike with and without a C compiler. Only the race detector wants one.
export CGO_ENABLED := 0
export FUZZTIME SEEDS SEED PLATFORMS
# The browser tests drive the machine's own Chromium; see .ci/chromium.
export PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD := 1

STEP := .ci/step
# Long tests that make test-all runs: a killed copy to DynamoDB, the loss of its tables, older releases beside this one, and servers that
# end for a newer one, exams through nginx and Caddy, and what needs promtool.
LONG := ^(TestACopyThatIsKilledGoesOn|TestLosingTheTablesWhileStudentsWork|TestTheOlderToolWorksWithThisPlugin|TestAnEarlierReleaseGoesOnBesideAnAdditiveStep|TestTheProxiesOfDeploy|TestTheCompositionOfDeploy|TestTheDoctorSeesWhatNginxWasNotTold|TestABreakingStepEndsOlderServersInOrder|TestPromtoolIsContent)$$
# SQLite's C code, translated to Go, is as it is: watching each of its steps would double the time of the tests.
RACE := env CI=1 CGO_ENABLED=1 go test -race -gcflags=modernc.org/sqlite/lib=-race=false -timeout 15m
# For what would wait for the disk else.
MEMORY := $(shell [ -w /dev/shm ] && echo TMPDIR=/dev/shm)
# The linter and the formatter are pinned in a module of their own, .tools/go.mod.
TOOL := go tool -modfile=.tools/go.mod
# Those of TypeScript and JavaScript, the plugin's and the tools' too, are pinned in web/ui/package.json and set in biome.jsonc.
BIOME := web/ui/node_modules/.bin/biome
# What a browser test is told, as the beginning of its recipe.
BROWSER = CHROMIUM=$$(.ci/chromium) || { echo 'No Chromium found: install one (Debian: chromium) or name it in CHROMIUM.' >&2; exit 1; }; \
	export CHROMIUM VIGIL_BIN='$(CURDIR)/bin/vigil'
# Recursive on purpose: looked up when used, not whenever make starts.
GO_FILES = find . -name '*.go' -not -path './.*/*' -not -path '*/node_modules/*'
# The packages whose tests start DynamoDB Local, which are tested apart from the others.
DYNAMODB := storage/dynamo migrations/dynamodb
UI := $(wildcard web/ui/package.json)
PHP := $(shell find moodle-plugin -name '*.php' -print -quit 2>/dev/null)

.PHONY: help
help: ## List the targets
	@echo 'make TARGET, where TARGET is one of:'
	@sed -nE 's/^([a-z][a-z0-9-]*):[^#]*## (.*)/  \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 12

.PHONY: build
build: ## Build bin/vigil (needs only Go)
	@# The version is stamped here, so Go need not ask git (which refuses in a directory that another user owns).
	go build -buildvcs=false -ldflags '-X main.version=$(VERSION) $(STAMP)' -o bin/vigil ./cmd/vigil

.PHONY: deb
deb: ## Build the Debian package for this machine's architecture into bin (needs Go and Node)
	@.ci/patiently 'still building' .ci/release bin deb

.PHONY: release
release: ## Build what is released into bin/release: programs, packages, plugins, SBOM, checksums (needs Go and Node)
	@.ci/patiently 'still building' .ci/release bin/release

.PHONY: release-check
release-check: ## Build the release of the last commit twice, in different places, and compare the bytes
	@.ci/patiently 'still building' .ci/reproducible

.PHONY: bench-build
bench-build: build ## Build bin/vigil-bench, which measures bin/vigil (docs/performance.md)
	go build -buildvcs=false -o bin/vigil-bench ./cmd/vigil-bench

.PHONY: bench
bench: bench-build ## Measure Vigil beside the published design (an hour or two; docs/performance.md)
	bin/vigil-bench compare $(BENCH_FLAGS)

.PHONY: demo
demo: ## Build and run the demo: the tool and a small LMS (needs only Go)
	@if [ -x bin/vigil ]; then echo 'Building Vigil (quick when little has changed)'; \
	else echo 'Building Vigil (the first build downloads and compiles everything, which takes a few minutes)'; fi
	@.ci/patiently 'still building' $(MAKE) build
	@exec bin/vigil demo $(DEMO_FLAGS)

.PHONY: test
test: ## Run everything: format, linters, race tests, browser tests
	@$(STEP) -b 18:00 'Everything (make test)' $(MAKE) test-steps

.PHONY: test-all
test-all: ## Run make test and what is heavier: long faults, fuzzing, the linter of deploy (about an hour)
	@$(STEP) -b 78:00 'Everything and more (make test-all)' $(MAKE) test-all-steps

.PHONY: test-all-steps
test-all-steps:
	@$(STEP) -b 18:00 'make test' $(MAKE) test-steps
	@$(MAKE) test-more-steps

.PHONY: test-more
test-more: ## Run what make test-all runs beyond make test
	@$(STEP) -b 60:00 'What is beyond make test (make test-more)' $(MAKE) test-more-steps

.PHONY: test-more-steps
test-more-steps:
	@$(STEP) -b 0:45 'What these tests need' env MORE=1 .ci/install
	@$(STEP) -b 2:00 'Templates and units of deploy' $(MAKE) lint-deploy
	@$(STEP) -b 7:00 'Tests of the programs, the long ones too, with the race detector' $(RACE) -skip '^TestManyServers' ./cmd/vigil ./cmd/vigil-bench
	@$(STEP) -b 5:00 'Release for one platform, built twice' $(MAKE) release-check PLATFORMS=linux/amd64
	@$(STEP) -b 1:00 'The whole story once more, on DynamoDB' $(MAKE) e2e-dynamodb
	@$(STEP) -b 5:00 'Simulator' $(MAKE) simulate SEEDS=400
	@$(STEP) -b 1:30 'Simulator: 50 exams, each twice, are the same run' env CI=1 $(MEMORY) go test -timeout 10m -run '^TestASeedIsOneRun$$' ./cmd/internal/sim -twice 50
	@$(STEP) -b 10:00 'Fuzzing' $(MAKE) fuzz
	@$(STEP) -b 26:00 'Long faults' $(MAKE) chaos

# What make test runs, in parts that continuous integration runs beside each other (.github/workflows/ci.yml). The whole has
# 18 minutes, on two cores that do nothing else; the steps, each with some room of its own, have 19 and a half.
.PHONY: test-steps
test-steps: test-setup test-lint test-go test-program test-dynamodb test-ui test-plugin test-browser

.PHONY: test-setup
test-setup: ## Part of make test: install what the tests need, and compile
	@# One waits for the network and the other for the processor.
	@$(STEP) -b 2:15 'What the tests need, and Go: build' bash -c \
		'.ci/install & i=$$!; b=0; .ci/patiently "still building" go build ./... || b=$$?; wait $$i && exit $$b'

.PHONY: test-lint
test-lint: ## Part of make test: format and linters of the Go code
	@$(STEP) -b 0:05 'Go: format' $(MAKE) format-check
	@$(STEP) -b 2:00 'Go: linters, vet among them' .ci/patiently 'still at it (the linters are compiled first)' $(TOOL) golangci-lint run ./...

.PHONY: test-go
test-go: ## Part of make test: Go tests with the race detector, and the simulator
	@# With the race detector what is ready goes on in a random order, so that no seed is one run; it plays ten.
	@$(STEP) -b 3:45 'Go: tests with the race detector' $(RACE) -skip '^(TestEachRuleCanFail|TestASeedIsOneRun)$$' $$(go list ./... | grep -v -e '^vigil/cmd/vigil' $(DYNAMODB:%=-e '^vigil/%'))
	@$(STEP) -b 0:45 'Simulator: known exams, and each rule' env CI=1 $(MEMORY) go test -timeout 10m -skip '^TestSeeds$$' ./cmd/internal/sim
	@$(STEP) -b 0:50 'Simulator: 200 exams' $(MAKE) simulate SEED=1 SEEDS=200

.PHONY: test-program
test-program: ## Part of make test: the program as it is built, and many servers
	@# They run the program as it is built; make test-all looks at its own code with the race detector, and at the bench.
	@$(STEP) -b 2:15 'Go: tests of the program' env CI=1 go test -timeout 15m -skip '^TestManyServers|$(LONG)' ./cmd/vigil
	@# These start servers of their own, without the race detector; alone, because they need the machine for themselves.
	@$(STEP) -b 2:00 'Many servers: 200 students, 10 dashboards' env CI=1 VIGIL_TEST_STUDENTS=200 VIGIL_TEST_PROCTORS=10 \
		go test -timeout 20m -v -run '^TestManyServers$$' ./cmd/vigil
	@$(STEP) -b 0:40 'Many servers on a Redis cluster' env CI=1 go test -timeout 10m -v -run '^TestManyServersOnARedisCluster$$' ./cmd/vigil

.PHONY: test-dynamodb
test-dynamodb: ## Part of make test: the store on DynamoDB Local, with the race detector
	@$(STEP) -b 1:00 'DynamoDB: tests with the race detector' $(RACE) $(DYNAMODB:%=./%/...)

.PHONY: test-ui
test-ui: ## Part of make test: types and unit tests of the browser code, and whether web/assets is up to date
ifneq ($(UI),)
	@$(STEP) -b 0:10 'Browser code: packages' $(MAKE) ui-packages
	@$(STEP) -b 0:10 'Browser code: format and linter' $(MAKE) lint-js
	@$(STEP) -b 0:10 'Browser code: types' npm --prefix web/ui run --silent check
	@$(STEP) -b 0:20 'Browser code: unit tests' npm --prefix web/ui run --silent test
	@$(STEP) -b 0:05 'Browser code: web/assets is what its sources build' .ci/assets
endif

.PHONY: test-plugin
test-plugin: ## Part of make test: syntax, AMD build and zips of the Moodle plugins
ifneq ($(PHP),)
	@$(STEP) -b 0:05 'Moodle plugins: PHP syntax' .ci/php
	@$(STEP) -b 0:10 'Moodle plugins: packages of the AMD build' $(MAKE) amd-packages
	@$(STEP) -b 0:10 'Moodle plugins: amd/build is what amd/src builds' .ci/amd
	@$(STEP) -b 0:10 'Moodle plugins: zips, and the list of what they need of Moodle' node --test .tools/zip/ .tools/moodle-contract/
endif

.PHONY: test-browser
test-browser: ## Part of make test: the whole story in a browser
ifneq ($(UI),)
	@$(STEP) -b 2:25 'The whole story in a browser' $(MAKE) e2e
endif

.PHONY: unit
unit: ## Run the quick Go tests
	go test -short ./...

.PHONY: e2e
e2e: build ui-packages ## Drive the demo in a real browser
	@$(BROWSER); \
	npm --prefix web/ui run --silent e2e

.PHONY: e2e-dynamodb
e2e-dynamodb: build ui-packages ## Tell the story with the tool's state on DynamoDB Local (needs Java)
	@$(BROWSER); \
	STORE=dynamodb node --test web/ui/e2e/story.mjs

.PHONY: e2e-moodle
e2e-moodle: build ui-packages ## Drive your own Moodle in a browser; docs/moodle.md says how
	@$(BROWSER); \
	if [ -z "$${MOODLE_URL:-}" ]; then echo 'Say which Moodle: MOODLE_URL, MOODLE_COURSE and the logins (docs/moodle.md).' >&2; exit 1; fi; \
	node --test --test-concurrency=1 web/ui/e2e/moodle.mjs web/ui/e2e/moodle-plugin.mjs web/ui/e2e/moodle-truth.mjs web/ui/e2e/moodle-held.mjs

.PHONY: e2e-moodle-hour
e2e-moodle-hour: build ui-packages ## Let ten honest students take a quiz of your own Moodle for an hour (or MINUTES); docs/moodle.md
	@$(BROWSER); \
	if [ -z "$${MOODLE_URL:-}" ]; then echo 'Say which Moodle: MOODLE_URL, MOODLE_DIR and the login of its admin (docs/moodle.md).' >&2; exit 1; fi; \
	node --test web/ui/e2e/moodle-honest.mjs

.PHONY: screenshots
screenshots: build ui-packages ## Take the README's pictures from the demo
	@$(BROWSER); \
	node web/ui/dev/screenshots.mjs

.PHONY: lint
lint: ## Run the linters alone
	@$(MAKE) format-check
	go vet ./...
	$(TOOL) golangci-lint run ./...
	@$(MAKE) cycles
	@$(MAKE) lint-js

.PHONY: lint-js
lint-js: ui-packages
	$(BIOME) check --error-on-warnings

.PHONY: cycles
cycles: ## Count how much the files of each package use each other's names (CYCLES=-v shows it)
	@go build -C .tools -o '$(CURDIR)/bin/cycles' ./cycles
	@bin/cycles $(CYCLES) -limits .tools/cycles/limits.txt ./...

.PHONY: lint-deploy
lint-deploy: ## Lint what is in deploy: AWS template, policies, systemd units, Containerfile, compose.yaml, alert rules (needs Python)
	@.ci/units
	@.ci/containerfile
	@.ci/cfn-lint
	@.ci/prometheus

.PHONY: format-check
format-check:
	@bad=$$($(GO_FILES) -print0 | xargs -0r $(TOOL) gofumpt -l); \
	if [ -n "$$bad" ]; then printf 'not formatted (run make fmt):\n%s\n' "$$bad" >&2; exit 1; fi

.PHONY: fmt
fmt: ui-packages ## Format the Go, TypeScript and JavaScript files
	$(GO_FILES) -print0 | xargs -0r $(TOOL) gofumpt -w
	$(BIOME) format --write

.PHONY: ui
ui: ui-packages ## Build the browser code: web/ui to web/assets
	npm --prefix web/ui run build

.PHONY: ui-packages
ui-packages: web/ui/node_modules/.package-lock.json

# npm writes this file last, so it is as new as the packages are.
web/ui/node_modules/.package-lock.json: web/ui/package.json web/ui/package-lock.json
	npm --prefix web/ui ci --no-audit --no-fund --loglevel=error
	@touch $@

.PHONY: moodle-amd
moodle-amd: amd-packages ## Build the Moodle plugin's AMD modules, as Moodle's grunt would
	node .tools/amd/build.mjs quizaccess_vigil moodle-plugin/quizaccess_vigil

.PHONY: moodle-contract
moodle-contract: ## Check a Moodle tree against what the plugins need of it (MOODLE_TREE; docs/moodle.md)
	@if [ -z "$${MOODLE_TREE:-}" ]; then echo 'Say where the code of Moodle is: make moodle-contract MOODLE_TREE=/srv/moodle' >&2; exit 1; fi
	@php .tools/moodle-contract/contract.php $(CONTRACT_FLAGS) "$$MOODLE_TREE"

.PHONY: moodle-zips
moodle-zips: moodle-amd ## Pack each Moodle plugin as bin/<component>-<release>.zip
	node .tools/zip/zip.mjs bin moodle-plugin/quizaccess_vigil moodle-plugin/ltiservice_vigil

.PHONY: amd-packages
amd-packages: .tools/amd/node_modules/.package-lock.json

.tools/amd/node_modules/.package-lock.json: .tools/amd/package.json .tools/amd/package-lock.json
	npm --prefix .tools/amd ci --no-audit --no-fund --loglevel=error
	@touch $@

.PHONY: fuzz
fuzz: ## Run each fuzz target for FUZZTIME (10s)
	@.ci/fuzz

.PHONY: simulate
simulate: ## Play SEEDS (1000) exams with random faults, from SEED on (a new one each time)
	@.ci/simulate

.PHONY: chaos
chaos: ## Put many servers through long faults, and hold the times against the aims
	@$(STEP) 'What the tests need' .ci/install
	@$(STEP) 'Relay: faults of Redis, ten times' env CI=1 go test -count=10 -timeout 30m ./realtime/relay/redisrelay/...
	@$(STEP) 'Many servers: long faults' env CI=1 VIGIL_TEST_STUDENTS=500 VIGIL_TEST_PROCTORS=10 VIGIL_TEST_FROZEN=20 VIGIL_TEST_AIMS=1 \
		go test -count=3 -timeout 60m -v -run TestManyServers ./cmd/vigil

.PHONY: clean
clean: ## Remove what was built (not web/assets, not the demo's data)
	rm -rf bin .tools/amd/node_modules web/ui/node_modules web/ui/test-results web/ui/playwright-report
