# pqfront: the commands of daily work. `make help` lists them.

GO      ?= go
BIN     := bin/pqfront
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -X pqfront/internal/cli.version=$(VERSION)

.PHONY: help run build test race check interop h2spec bench proof fuzz docs clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

run: build ## build pqfront and start the demo edge on loopback
	./$(BIN) serve

build: ## build bin/pqfront
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/pqfront

test: ## every test that needs nothing but Go (what CI calls first)
	$(GO) vet ./...
	$(GO) test -timeout 15m $(TESTFLAGS) ./...

race: ## the tests once more under the race detector, the long proofs shortened
	$(GO) test -race -short -timeout 20m ./...

check: ## formatting, vet, modules, generated documents
	@test -z "$$(gofmt -l cmd internal test)" || { gofmt -l cmd internal test; echo "run gofmt -w on these"; exit 1; }
	$(GO) vet ./...
	$(GO) mod tidy -diff
	$(GO) mod verify

interop: build ## real clients against a real edge: OpenSSL 3.5, curl with HTTP/3, GnuTLS, Chromium ...
	./test/interop/run

h2spec: build ## an outside judge of HTTP/2 against the built binary (on a quiet machine: three cases race its second frame with our answer)
	./test/h2spec/run

bench: build ## CPU per handshake and per hit, memory per connection, beside bare crypto/tls and nginx
	./test/bench/run

proof: ## the whole differential proof: every hello under every policy and certificate set (some 15 CPU minutes)
	$(GO) test ./internal/edge/viewertls -run 'TestDifferential$$' -count=1 -v -timeout 60m -args -differential.all

FUZZTIME ?= 20s
fuzz: ## every fuzz target for FUZZTIME (20s) each
	@set -e; grep -rlE '^func Fuzz' --include='*_test.go' internal | while read -r file; do \
	  for name in $$(sed -nE 's/^func (Fuzz[A-Za-z0-9_]*)\(.*/\1/p' "$$file"); do \
	    echo "== $$name in $$(dirname $$file)"; \
	    $(GO) test -run '^$$' -fuzz "^$$name$$" -fuzztime $(FUZZTIME) "./$$(dirname $$file)"; \
	  done; done

docs: ## write the reference pages and snapshots that are made from tables
	$(GO) test ./internal/tlspolicy ./internal/edge/accesslog ./internal/edge/respheaders ./internal/app -update

clean: ## remove what was built
	rm -rf bin .bench
