# Every target is a line of `make help`. What takes long says what it does meanwhile.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# Tests, checks, images and the node are built with the same flags, those of deploy/machine/gobuild, so that each package is
# compiled once.
export CGO_ENABLED := 0
export GOFLAGS := $(strip $(GOFLAGS) -trimpath -gcflags=all=-dwarf=false)

TOOL := tool -modfile=$(CURDIR)/tools/go.mod
# Every module of the tree.
MODULES := . $(patsubst %/go.mod,%,$(shell git ls-files '*/go.mod'))
# How long each fuzz target searches.
FUZZTIME ?= 5s
# Tests behind a build tag are vetted like all others.
TAGS := -tags cluster,onenode
# Suites that need neither a cluster, nor its programs, nor Envoy. Those that start other programs and wait for them have no
# goroutines of ours to race.
QUICK := go list ./... | grep -v -e /test/dataplane -e /test/e2e -e /test/starts -e /test/scheduling -e /test/homes
PROGRAMS := -e /deploy/chart -e /test/pages -e /test/jupyter -e '/perijove/test$$'

# What make golden writes.
GENERATED := ':(glob)**/testdata/**' deploy/chart/files

.PHONY: help
help: ## show this
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: up down deps images
up: ## build everything, start it, wait until http://localhost:8000 answers; NODES=2 make up: on two nodes
	@go run ./deploy/up up
down: ## remove everything that make up made
	@go run ./deploy/up down
deps: ## install what the tests need (Debian packages, Envoy, the development provider)
	@go run ./deploy/up deps
images: ## build the container images (and push them when REGISTRY is set)
	@go run ./deploy/up images

.PHONY: ci
ci: check fuzz test ## all that .ci/run runs: what fails fast comes first, no suite runs twice

.PHONY: test unit dataplane e2e
test: unit dataplane e2e ## all tests: quick ones, then real Envoy, then a real cluster and browser
unit: deps ## pure packages and services in process under the race detector, chart, pages, Jupyter
	CGO_ENABLED=1 go test -race $$($(QUICK) | grep -v $(PROGRAMS))
	go test $$($(QUICK) | grep $(PROGRAMS))
	for module in $(filter-out .,$(MODULES)); do go -C $$module test ./...; done
dataplane: deps ## the real Envoy with the three services, no cluster
	go test -count=1 -timeout 20m ./test/dataplane/...
e2e: deps up ## the whole platform in a real browser
	export KUBECONFIG=$$(go run ./deploy/up kubeconfig); \
	go test -count=1 -tags cluster -run Cluster ./deploy/chart; \
	go test -count=1 ./test/starts ./test/scheduling; \
	go test -count=1 -short ./test/homes; \
	go test -count=1 -v ./test/e2e/...

.PHONY: node
node: ## onenode itself, with one node and with two: kill each part, cut the power, leave no trace (make down first)
	go test -tags onenode -count=1 -timeout 20m -v ./deploy/onenode

.PHONY: homes
homes: deps up ## late homes lose no file, over 68 pods that end in every way (root, 15 min)
	export KUBECONFIG=$$(go run ./deploy/up kubeconfig); \
	PERIJOVE_HOMES_ROUNDS=68 go test -count=1 -timeout 60m -v ./test/homes

.PHONY: bench bench-check
bench: deps ## measure requests, propagation, memory, restarts and starts beside peers; write docs/performance.md (20 min)
	go -C bench run ./load -doc
	go -C bench run ./profile -doc
	go -C bench run ./routes -doc
	go -C bench run ./logins -doc
	go -C bench run ./class -doc
	go -C bench run ./balance -doc
	$(MAKE) up
	go -C bench run ./spawn -doc
	go -C bench run ./click -doc
	go -C bench run ./paper -doc
	$(MAKE) up NODES=2
	go -C bench run ./balance -real -doc
bench-check: deps ## fail when a ratio of the benchmarks got worse (4 min)
	go -C bench run ./load -check
	go -C bench run ./routes -check -chp=false -samples 50 -users 1000,10000
	go -C bench run ./logins -check
	go -C bench run ./class -check -jupyterhub=false
	go -C bench run ./balance -check

.PHONY: check static
check: static unit generated vuln ## everything that needs neither a cluster nor Envoy
static: ## format, vet and staticcheck of every module, rules of the tree (half a minute)
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$unformatted" ] || { echo "gofmt -w" $$unformatted; exit 1; }
	for module in $(MODULES); do go -C $$module vet $(TAGS) ./...; done
	go test ./test
	for module in $(MODULES); do go -C $$module $(TOOL) staticcheck $(TAGS) ./...; done

.PHONY: vuln
vuln: ## known vulnerabilities in what the services call
	@if curl --silent --fail --max-time 10 --output /dev/null https://vuln.go.dev/index/db.json; then \
		go $(TOOL) govulncheck ./cmd/...; \
	else \
		echo "govulncheck skipped: its database, https://vuln.go.dev, cannot be reached from here"; \
	fi

.PHONY: fuzz mutate outdated
fuzz: ## let every fuzz target search for FUZZTIME (5s); what it finds stays in testdata/fuzz
	go -C tools run ./fuzz -time $(FUZZTIME)
mutate: ## change the code that judges; fail when no test notices (10 min)
	go -C tools run ./mutate
outdated: ## direct dependencies of every module that are not current
	@for module in $(filter-out tools,$(MODULES)); do \
		direct=$$(go -C $$module list -m -f '{{if not (or .Main .Indirect .Replace)}}{{.Path}}{{end}}' all); \
		go -C $$module list -m -u -f "{{with .Update}}$$module: {{\$$.Path}} {{\$$.Version}} -> {{.Version}}{{end}}" $$direct | grep . || true; \
	done; \
	tools=$$(go -C tools list -f '{{.Module.Path}}' tool | sort -u); \
	go -C tools list -m -u -f '{{with .Update}}tools: {{$$.Path}} {{$$.Version}} -> {{.Version}}{{end}}' $$tools | grep . || true

.PHONY: golden generated
generated: golden ## golden files are as committed, new ones included
	@changed=$$(git status --porcelain -- $(GENERATED)); [ -z "$$changed" ] || \
		{ git diff -- $(GENERATED); echo "$$changed"; echo "golden files differ from the committed ones; commit them"; exit 1; }
golden: ## write the golden files anew
	for dir in $$(git grep -l -e 'Bool("update"' -e 'perijove/test/golden"' -- '*_test.go' | xargs -n1 dirname | sort -u); do \
		go -C $$dir test . -update; \
	done

.PHONY: clean
clean: ## forget what was built (make down first)
	rm -rf .cache test/output
