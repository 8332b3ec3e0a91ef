# What is worth a name. "make test" is the same as .ci/test.

.PHONY: build test lint fuzz demo demo-sending edits faults safety bench bench-quick deb soak clean

build: ## build/ehlogate, static
	CGO_ENABLED=0 go build -trimpath -o build/ehlogate ./cmd/ehlogate

test: ## everything, on real servers, which it installs (Debian)
	.ci/test

lint: ## what CI demands besides the tests
	.ci/lint

FUZZTIME ?= 500000x
fuzz: ## each fuzz target, FUZZTIME inputs
	.ci/fuzz $(FUZZTIME)

demo: ## a real Postfix shows the difference
	.ci/deps
	go run ./cmd/ehlogate/internal/test/demo

demo-sending: ## a network, its gateway and a server outside, of real parts: what each machine inside sees
	.ci/deps
	@STAGE_SAY=1 go test -count=1 -v -run '^TestSending$$' ./cmd/ehlogate/internal/test/mtatest | grep --line-buffered -v -e '^ *---' -e '^==='

faults: ## what clients see while things are done to ehlogate: the tables of README (ten minutes)
	.ci/deps
	@mkdir -p build
	STAGE_TABLE=$(CURDIR)/build/faults.md go test -count=1 -timeout 30m -run 'Faults$$|Enforce|Survive|Edits|Package' ./cmd/ehlogate/internal/test/mtatest
	@cat build/faults.md

edits: ## how long each way of editing a list takes to come in force (ten seconds)
	.ci/deps
	@mkdir -p build
	STAGE_TABLE=$(CURDIR)/build/edits.md go test -count=1 -run '^TestEdits$$' ./cmd/ehlogate/internal/test/mtatest
	@cat build/edits.md

safety: ## who is offered STARTTLS, by sender, stance and promise: the table of README (some seconds)
	.ci/deps
	@mkdir -p build
	STAGE_TABLE=$(CURDIR)/build/safety.md go test -count=1 -run '^TestSafety$$' ./cmd/ehlogate/internal/test/mtatest
	@cat build/safety.md

bench: ## what it costs, beside floors and peers: one table, and a plot in build/growth.svg (15 minutes, on a quiet machine)
	.ci/deps
	@mkdir -p build
	@rm -f build/failed
	@{ BENCH=full BENCH_TABLE=$(CURDIR)/build/bench.md BENCH_PLOT=$(CURDIR)/build/growth.svg \
		go test -count=1 -timeout 60m -v ./cmd/ehlogate/internal/test/benchmarks || touch build/failed; } | \
		grep --line-buffered -e '^=== RUN' -e '^ *[a-z]*_test.go:[0-9]*: |' -e FAIL
	@cat build/bench.md
	@test ! -e build/failed

bench-quick: ## the parts of it that need no other servers, in small: that they work, and not how fast it is
	go test -count=1 -v -run '^Test(Protocols|Noise|Latency|Milter|Reload|ReloadPriority|Idle|Lookup|Refusal|Shed|DNSStream|Sets)$$' ./cmd/ehlogate/internal/test/benchmarks

deb: ## build/ehlogate_VERSION_ARCH.deb, by debhelper; VERSION=... for another version
	@examples/debian/build

SOAK ?= 20000000
soak: ## SOAK questions of all protocols while lists are reloaded: every answer right, nothing grows (some minutes)
	SOAK=$(SOAK) go test -count=1 -timeout 60m -v -run '^TestSoak$$' ./cmd/ehlogate/internal/test/stresstest

clean:
	rm -rf build
