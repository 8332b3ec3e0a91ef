# What is worth a name. "make test" is the same as .ci/test.

.PHONY: build test lint fuzz demo faults clean

build: ## build/ehlogate, static
	CGO_ENABLED=0 go build -trimpath -o build/ehlogate ./cmd/ehlogate

test: ## everything, on real servers, which it installs (Debian)
	.ci/test

lint: ## what CI demands besides the tests
	.ci/lint

FUZZTIME ?= 30s
fuzz: ## each fuzz target for FUZZTIME
	.ci/fuzz $(FUZZTIME)

demo: ## a real Postfix shows the difference
	.ci/deps
	go run ./cmd/ehlogate/internal/stage/demo

faults: ## what clients see while ehlogate is dead or hangs, measured: the tables that README sums up
	.ci/deps
	@mkdir -p build
	STAGE_TABLE=$(CURDIR)/build/faults.md go test -count=1 -run 'Faults$$|Enforce' ./cmd/ehlogate/internal/stage
	@cat build/faults.md

clean:
	rm -rf build
