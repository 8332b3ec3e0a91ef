# What is worth a name. "make test" is the same as .ci/test.

.PHONY: help build test quick lint fuzz demo demo-sending demo-fallback classes configurations edits faults safety page bench bench-quick everywhere matrix deb rpm soak clean

TESTS = cmd/ehlogate/internal/test

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | expand -t 16

build: ## build/ehlogate, static
	CGO_ENABLED=0 go build -trimpath -o build/ehlogate ./cmd/ehlogate

test: ## everything, on real servers, which it installs (Debian)
	.ci/test

quick: ## the tests that need no root, no servers and little time, and which are left out (two to five minutes, anywhere)
	go run ./$(TESTS)/testrun ./...

lint: ## what CI demands besides the tests
	.ci/lint

FUZZTIME ?= 500000x
fuzz: ## each fuzz target, FUZZTIME inputs
	.ci/fuzz $(FUZZTIME)

demo: ## a real Postfix shows the difference
	.ci/deps
	go run ./$(TESTS)/demo

demo-sending: ## a network, its gateway and a server outside, of real parts: what each machine inside sees
	.ci/deps
	@EHLOGATE_TEST=all EHLOGATE_TEST_VERBOSE=1 go test -count=1 -v -run '^TestSending$$' ./$(TESTS)/mtatest | grep --line-buffered -v -e '^ *---' -e '^==='

demo-fallback: ## clients whose TLS is broken, and real mail servers: what ehlogate learns at which attempt (two minutes)
	.ci/deps
	@EHLOGATE_TEST=all EHLOGATE_TEST_VERBOSE=1 go test -count=1 -v -run '^TestFallback$$' ./$(TESTS)/mtatest | grep --line-buffered -v -e '^ *---' -e '^===' -e ' needs: '

page: ## the picture of the status page, as a real browser shows it (ten seconds)
	.ci/deps
	EHLOGATE_TEST=all EHLOGATE_TEST_PICTURE=$(CURDIR)/cmd/ehlogate/internal/page/page.png go test -count=1 -run '^TestBrowser$$' ./cmd/ehlogate/internal/page

# The next six write tables beside the tests that measure them.
measure = EHLOGATE_TEST=all EHLOGATE_TEST_TABLE=$(CURDIR)/$(TESTS)/$(1) go test -count=1 -timeout 60m

faults: ## what clients see while things are done to ehlogate (a quarter of an hour)
	.ci/deps
	$(call measure,mtatest/FAULTS.md) -run 'Faults$$|Enforce|Package' ./$(TESTS)/mtatest
	@cat $(TESTS)/mtatest/FAULTS.md

edits: ## how long each way of editing a list takes to come in force (ten seconds)
	.ci/deps
	$(call measure,mtatest/EDITS.md) -run '^TestEdits$$' ./$(TESTS)/mtatest
	@cat $(TESTS)/mtatest/EDITS.md

configurations: ## what doctor says about each configuration, and what the real mail server then does (two minutes)
	.ci/deps
	$(call measure,mtatest/CONFIGURATIONS.md) -run '^TestConfigurations$$' ./$(TESTS)/mtatest
	@cat $(TESTS)/mtatest/CONFIGURATIONS.md

classes: ## ways for the TLS of a client to go, what each mail server logs of it, and what replay reads (half a minute)
	.ci/deps
	$(call measure,mtatest/CLASSES.md) -run '^TestLogClasses$$' ./$(TESTS)/mtatest
	@cat $(TESTS)/mtatest/CLASSES.md

safety: ## which senders are offered STARTTLS, by list and published policy (a minute)
	.ci/deps
	$(call measure,mtatest/SAFETY.md) -run '^TestSafety$$' ./$(TESTS)/mtatest
	@cat $(TESTS)/mtatest/SAFETY.md

RELEASES ?= bookworm trixie forky
matrix: ## the tests with servers in Debian 12, 13 and testing: what holds on which version (40 minutes; SHORT=-short: the most telling ones, 10)
	.ci/deps
	go run ./$(TESTS)/matrix $(SHORT) -table $(TESTS)/mtatest/MATRIX.md $(RELEASES)

bench: ## what it costs, beside floors and peers: one table, and two plots (half an hour to an hour, on a quiet machine)
	.ci/deps
	@mkdir -p build
	@rm -f build/failed
	@{ EHLOGATE_TEST_BENCH=full EHLOGATE_TEST_PLOT=$(CURDIR)/$(TESTS)/benchmarks/growth.svg \
		$(call measure,benchmarks/RESULTS.md) -v ./$(TESTS)/benchmarks || touch build/failed; } | \
		grep --line-buffered -e '^=== RUN' -e '^ *[a-z_]*_test.go:[0-9]*: |' -e FAIL
	@test ! -e build/failed
	@cat $(TESTS)/benchmarks/RESULTS.md

bench-quick: ## the parts of it that need no other servers, in small: that they work, and not how fast it is
	EHLOGATE_TEST=all go test -count=1 -v -run '^Test(Protocols|Noise|Latency|Milter|Reload|ReloadPriority|Idle|Lookup|Refusal|Limit|DNSStream|Sets|Page)$$' ./$(TESTS)/benchmarks

everywhere: ## build/ehlogate-SYSTEM-PROCESSOR for eight, and the unit tests on four of them, three by qemu-user (three quarters of an hour)
	.ci/everywhere

deb: ## build/ehlogate_VERSION_ARCH.deb, by debhelper; VERSION=... for another version
	@examples/debian/build

rpm: ## build/ehlogate-VERSION-1.ARCH.rpm, by rpmbuild; VERSION=... for another version
	@examples/rpm/build

SOAK ?= 20000000
soak: ## SOAK questions of all protocols while lists are reloaded: every answer right, nothing grows (some minutes)
	EHLOGATE_TEST=all EHLOGATE_TEST_SOAK=$(SOAK) go test -count=1 -timeout 60m -v -run '^TestSoak$$' ./$(TESTS)/stresstest

clean:
	rm -rf build
