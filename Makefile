# Every target is a line of `make help`. What takes long says what it does meanwhile.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

TOOL := go tool -modfile=tools/go.mod
# Modules beside the root one: they build it, they are not part of it.
MODULES := deploy/images deploy/onenode bench
# Suites that need neither a cluster nor Envoy.
QUICK := go list ./... | grep -v -e /test/dataplane -e /test/e2e

.PHONY: help
help: ## show this
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: up down deps images
up: ## build everything, start it, wait until http://localhost:8000 answers
	@go run ./deploy/up up
down: ## remove everything that make up made
	@go run ./deploy/up down
deps: ## install what the tests need (Debian packages, Envoy, the development provider)
	@go run ./deploy/up deps
images: ## build the container images (and push them when REGISTRY is set)
	@go run ./deploy/up images

.PHONY: test unit dataplane e2e
test: unit dataplane e2e ## all tests: quick ones, then real Envoy, then a real cluster and browser
unit: deps ## pure packages, services in process, chart
	go test $$($(QUICK))
	for module in $(MODULES); do go -C $$module test ./...; done
dataplane: deps ## the real Envoy with the three services, no cluster
	go test -count=1 -timeout 20m ./test/dataplane/...
e2e: deps up ## the whole platform in a real browser
	export KUBECONFIG=$$(go run ./deploy/up kubeconfig); \
	go test -count=1 -tags cluster -run Cluster ./deploy/chart; \
	go test -count=1 -v ./test/e2e/...

.PHONY: node
node: ## the one-node cluster itself: kill each part, cut the power, leave no trace (make down first)
	go -C deploy/onenode test -tags onenode -count=1 -timeout 20m -v .

.PHONY: bench bench-check
bench: deps ## measure requests, propagation, memory and restarts beside peers; write docs/performance.md (15 min)
	go -C bench run ./load -doc
	go -C bench run ./profile -doc
	go -C bench run ./routes -doc
	go -C bench run ./logins -doc
bench-check: deps ## fail when a ratio of the benchmarks got worse (3 min)
	go -C bench run ./load -check
	go -C bench run ./routes -check -chp=false -samples 50 -users 1000,10000
	go -C bench run ./logins -check

.PHONY: check
check: ## format, vet, staticcheck, govulncheck, goldens, race tests, clean tree
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo "gofmt these:"; gofmt -l $$(git ls-files '*.go'); exit 1; }
	go vet ./...
	for module in $(MODULES); do go -C $$module vet ./...; done
	$(TOOL) staticcheck ./...
	$(MAKE) --no-print-directory vuln golden race
	@git diff --exit-code || { echo "generated files differ from the committed ones; commit them"; exit 1; }

.PHONY: vuln
vuln: ## known vulnerabilities in what the services call
	@if curl --silent --fail --max-time 10 --output /dev/null https://vuln.go.dev/index/db.json; then \
		$(TOOL) govulncheck ./cmd/...; \
	else \
		echo "govulncheck skipped: its database, https://vuln.go.dev, cannot be reached from here"; \
	fi

.PHONY: race
race: ## quick suites under the race detector
	go test -race $$($(QUICK) | grep -v -e /deploy/chart -e /test/pages)

.PHONY: golden
golden: ## write the golden files anew
	for dir in $$(git grep -l -e 'Bool("update"' -e 'perijove/test/golden"' -- '*_test.go' | xargs -n1 dirname | sort -u); do \
		go -C $$dir test . -update; \
	done

.PHONY: clean
clean: ## forget what was built (make down first)
	rm -rf .cache test/output
