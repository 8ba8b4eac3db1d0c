# All that is needed beside a Go toolchain and make is named here. `make check`
# does everything from a bare machine (see .ci/run for Debian packages).

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

GOLANGCI_LINT_VERSION := v2.15.0
GRPCURL_VERSION := v1.9.4

BIN := $(CURDIR)/bin
LINT := $(BIN)/golangci-lint-$(GOLANGCI_LINT_VERSION)
GRPCURL := $(BIN)/grpcurl-$(GRPCURL_VERSION)
ETCD := $(BIN)/etcd

# FUZZTIME is for each target, in `make fuzz`; PROOF_FUZZTIME in `make proof`.
FUZZTIME ?= 5s
PROOF_FUZZTIME ?= 5m

# Directories of all modules of the workspace, the root first.
MODULES = $(shell go list -m -f '{{.Dir}}')
GOFILES = $(shell git ls-files --cached --others --exclude-standard '*.go')

.PHONY: help
help: ## this list
	@grep -hE '^[a-z0-9-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 18

# What the tests of test/ecosystem run.
.PHONY: grpcurl
grpcurl: $(GRPCURL)

$(GRPCURL):
	GOBIN=$(BIN)/install GOWORK=off go install github.com/fullstorydev/grpcurl/cmd/grpcurl@$(GRPCURL_VERSION)
	mv $(BIN)/install/grpcurl $@

# An etcd server, which the tests of test/ecosystem/engines start and restart
# themselves; its version is in the go.mod beside, and it is built from there.
.PHONY: etcd
etcd: $(ETCD)

$(ETCD): test/ecosystem/tools/go.mod
	GOWORK=off go -C test/ecosystem/tools build -o $@ go.etcd.io/etcd/server/v3

# Some 3,200 restarts, in eight minutes.
.PHONY: rolling
rolling: $(ETCD) ## restart servers as processes, found by etcd, by DNS and by xDS, many times
	go test -count 1 -run TestRolling_ -timeout 30m -v ./test/ecosystem/engines -rounds 25
	go test -count 10 -run TestRolling_ -timeout 30m -v ./xds/internal/scenario

# What tests would otherwise download while they run.
.PHONY: fetch
fetch: $(GRPCURL) $(ETCD) ## download the modules of all packages, and build what tests run
	go list -deps -test work >/dev/null
	GOWORK=off go -C conformance/tools list -deps tool >/dev/null

# One pattern for every module of go.work: `./...` would stop at the root.
.PHONY: test
test: $(GRPCURL) $(ETCD) ## tests of all modules
	go test -timeout 10m work

.PHONY: race
race: $(GRPCURL) $(ETCD) ## tests of all modules under the race detector
	tools/race -timeout 30m

.PHONY: build
build: ## compile every package of every module
	go build -o /dev/null work

# The root as its importers see it: without the workspace.
.PHONY: alone
alone: ## build and test the root module without go.work
	GOWORK=off go build ./...
	GOWORK=off go test -timeout 10m ./...

# The root module only: what others build.
.PHONY: cross
cross: ## build for other systems, one of 32 bits among them
	@for target in linux/386 darwin/arm64 windows/amd64; do \
		echo "build $$target"; \
		GOOS=$${target%/*} GOARCH=$${target#*/} CGO_ENABLED=0 GOWORK=off go build ./...; done

.PHONY: fmt-check
fmt-check: ## fail on files that gofmt would change
	@files="$$(gofmt -l $(GOFILES))"; \
	if [[ -n "$$files" ]]; then echo "gofmt -w would change:"; echo "$$files"; exit 1; fi

.PHONY: vet
vet: ## go vet over all modules
	go vet work

$(LINT):
	GOBIN=$(BIN)/install GOWORK=off go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)
	mv $(BIN)/install/golangci-lint $@

.PHONY: linter
linter: $(LINT)

.PHONY: lint
lint: $(LINT) ## golangci-lint over all modules
	@status=0; for dir in $(MODULES); do \
		echo "lint $$dir"; \
		(cd "$$dir" && $(LINT) run --config $(CURDIR)/.golangci.yml ./...) || status=1; \
	done; exit $$status

.PHONY: tidy-check
tidy-check: ## fail where go mod tidy would change something
	@status=0; for dir in $(MODULES) conformance/tools test/ecosystem/tools; do \
		echo "tidy $$dir"; \
		GOWORK=off go -C "$$dir" mod tidy -diff || status=1; \
	done; exit $$status

# The plugins are pinned in tools/go.mod, and that of grpc-gateway beside its
# runtime; protoc is found on PATH.
.PHONY: plugins
plugins:
	GOWORK=off go -C tools build -o $(BIN)/ \
		google.golang.org/protobuf/cmd/protoc-gen-go google.golang.org/grpc/cmd/protoc-gen-go-grpc
	GOWORK=off go -C test/ecosystem build -o $(BIN)/ github.com/grpc-ecosystem/grpc-gateway/v2/protoc-gen-grpc-gateway

.PHONY: generate
generate: plugins ## regenerate the protobuf stubs
	tools/generate

.PHONY: check-generate
check-generate: plugins ## fail when the committed stubs are not what generate makes
	tools/generate --check

.PHONY: rows
rows: ## run the tests that prove rows of docs/from-grpc-go.md
	go run ./tools/rows -strict

.PHONY: rows-doc
rows-doc: ## write the names of those tests into the table
	go run ./tools/rows -write

.PHONY: mutants
mutants: ## bring known errors into the code, one by one: tests must find them
	go run ./tools/mutants

.PHONY: canary
canary: ## try the newest release of grpc-go: not in CI, for it changes on its own
	tools/canary

.PHONY: interop
interop: ## gRPC's interop cases between weir and grpc-go, as processes
	go run ./interop/matrix

.PHONY: conformance
conformance: ## the connectrpc conformance suite over weir's client, server and both
	go run ./conformance/suite

.PHONY: h2spec
h2spec: ## h2spec --strict against weir's interop server, over h2c and TLS
	go run ./conformance/h2spec

.PHONY: prometheus
prometheus: ## a real Prometheus, fetched from Debian, scrapes weir's metrics and is asked for them
	metrics/prometheus.sh $(BIN)/prometheus
	go run ./metrics/scrape -dir $(BIN)/prometheus/usr/bin

.PHONY: demo
demo: ## the demo: calls checked, then a few seconds of load
	go run ./cmd/weir demo

.PHONY: fuzz
fuzz: ## each fuzz target for FUZZTIME
	tools/fuzz $(FUZZTIME)

.PHONY: bench-once
bench-once: ## compile each benchmark and run it once
	go test -run '^$$' -bench . -benchtime 1x -timeout 10m work

.PHONY: bench
bench: ## measure weir beside grpc-go and others, in five minutes at most; see bench/README.md
	go run ./bench/cmd/weirbench -quick

.PHONY: bench-cpp
bench-cpp: ## build the peer grpc-c++ of the yardstick, if gRPC C++ is installed
	bench/cpp/build.sh $(BIN)/weirbench-cpp

.PHONY: bench-check
bench-check: ## fail when a ratio to grpc-go is a fifth below its floor in bench/floors.json
	go run ./bench/cmd/weirbench -check bench/floors.json

# Everything, cheap and telling steps first.
.PHONY: check
check: ## all of the above that can fail, from a bare machine
	tools/check build cross fmt-check tidy-check vet test alone rows mutants interop conformance h2spec prometheus race bench-once fuzz check-generate lint demo

.PHONY: proof
proof: ## the long form: check, then each fuzz target for PROOF_FUZZTIME, the race suite ten times, rolling restarts, bench-check and bench
	$(MAKE) check
	tools/race -count 10 -timeout 60m
	$(MAKE) rolling
	tools/fuzz $(PROOF_FUZZTIME)
	$(MAKE) bench-check
	$(MAKE) bench

.PHONY: clean
clean: ## remove what make put here
	rm -rf $(BIN)
