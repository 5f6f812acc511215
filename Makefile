# Pontoon. `make` lists what there is.
.DEFAULT_GOAL := help
SHELL := /bin/bash

GO       ?= go
BIN      := bin/pontoon
ORACLE   := bench/oracle
ETCDTESTS := bench/etcdtests
PKGS     := ./...
SEED     ?= 1
SEEDS    ?= 1
STEPS    ?=
LOG      ?=
BUG      ?= all
OPS      ?= 200000
NODES    ?= 3
SPLITS   ?= 50
MERGES   ?= 0
MOVES    ?= 0
TRANSFERS ?= 0
DURATION ?= 60s
MINUTES  ?= 2
SOAK     ?= 60
ROUNDS   ?= 3
TRIES    ?= 20
RANGES   ?= 10000
KEYS     ?= 1000000
SCALEOUT ?=
FLOOR    ?= 0.7
WORKLOADS ?=
BENCHFLAGS ?=
RUN      ?= .
PACKAGES ?= common
INTEGRATION := integration,integration/clientv3,integration/clientv3/concurrency,integration/clientv3/examples,integration/clientv3/experimental/recipes
FILES    ?=
FUZZTIME ?= 30s
GOVULNCHECK ?= v1.9.0
FIXED_GO := GOTOOLCHAIN=$(shell sed -n 's/^toolchain //p' go.mod)
VULNDB   ?= v0.0.0-20261105234957-e22db6528018

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-14s %s\n", $$1, $$2}'

.PHONY: build
build: ## build bin/pontoon
	CGO_ENABLED=0 $(GO) build -o $(BIN) ./cmd/pontoon

.PHONY: demo
demo: build ## three nodes on this machine, split, loaded, killed, verified
	$(BIN) demo $(DEMO)

.PHONY: demo-elastic
demo-elastic: build ## three nodes under load grow to five, even out, lose one, give one back, verified
	$(BIN) demo --elastic $(DEMO)

# Packages take turns (their tests look at clocks); the next one is built meanwhile, where there is flock.
TURNS := $(if $(shell command -v flock),-p 2 -exec 'flock $(CURDIR)/bin/.turn',-p 1)

.PHONY: test
test: build lint ## every test with the race detector, then the quick differential test
	$(GO) build -race $(PKGS)
	PONTOON_BIN=$(CURDIR)/$(BIN) $(GO) test -race $(TURNS) -timeout 20m $(PKGS)
	cd $(ORACLE) && PONTOON_BIN=$(CURDIR)/$(BIN) $(GO) test -timeout 10m ./...
	cd $(ETCDTESTS) && $(GO) test ./...
	cd deploy/schema && $(GO) test ./...

.PHONY: lint
lint: ## formatting and vet
	@out=$$(gofmt -l $$(git ls-files '*.go' | grep -v '\.pb\.go$$')); if [ -n "$$out" ]; then echo "gofmt: $$out"; exit 1; fi
	$(GO) vet $(PKGS)

.PHONY: fix
fix: ## rewrite formatting
	gofmt -w $$(git ls-files '*.go' | grep -v '\.pb\.go$$')

.PHONY: etcd
etcd: ## build real etcd, etcdctl and etcdutl 3.7.3 into bin/
	cd $(ORACLE) && $(GO) build -o ../../bin/etcd ./cmd/etcd && $(GO) build -o ../../bin/etcdctl ./cmd/etcdctl && $(GO) build -o ../../bin/etcdutl ./cmd/etcdutl

.PHONY: bin/etcd
bin/etcd:
	cd $(ORACLE) && $(GO) build -o ../../bin/etcd ./cmd/etcd

.PHONY: diff
diff: build ## differential test against real etcd: OPS= SEED= NODES= SPLITS= MERGES= MOVES= TRANSFERS=
	cd $(ORACLE) && PONTOON_BIN=$(CURDIR)/$(BIN) $(GO) run ./cmd/diff -ops $(OPS) -seed $(SEED) -nodes $(NODES) \
		-splits $(SPLITS) -merges $(MERGES) -moves $(MOVES) -transfers $(TRANSFERS)

.PHONY: etcd-tests
etcd-tests: build ## etcd's own black-box tests with bin/pontoon in the place of bin/etcd: RUN= PACKAGES= FILES=
	cd $(ETCDTESTS) && $(GO) run ./cmd/etcdtests -server ../../$(BIN) -packages $(PACKAGES) -run '$(RUN)' -files '$(FILES)' \
		-logs ../../tmp/etcd-tests $(if $(filter .common,$(RUN)$(PACKAGES)$(FILES)),-report ../../docs/etcd-tests.md)

.PHONY: etcd-integration
etcd-integration: build ## etcd's integration tests (clientv3, locks, elections, STM, services) against processes of bin/pontoon: RUN=
	cd $(ETCDTESTS) && $(GO) run ./cmd/etcdtests -server ../../$(BIN) -packages $(INTEGRATION) -run '$(RUN)' \
		-logs ../../tmp/etcd-tests $(if $(filter .,$(RUN)),-report ../../docs/etcd-integration-tests.md)

.PHONY: robust
robust: build ## processes, links and disks fail under load, then nodes come and go, histories checked: MINUTES= SEED=
	$(BIN) bench robust --mode all --duration $$(($(MINUTES) * 45))s --seed $(SEED)
	$(BIN) bench robust --mode elastic --duration $$(($(MINUTES) * 15))s --seed $(SEED) --clients 9

.PHONY: soak
soak: build ## an hour of everything that is usual, restarts included: nodes must not grow: SOAK=minutes SEED=
	$(BIN) bench robust --mode soak --duration $(SOAK)m --round 60s --rate 300 --clients 9 --objects 3000 --seed $(SEED) --samples bench/results/soak

.PHONY: robust-crash
robust-crash: build ## processes alone are killed, paused and restarted: DURATION= SEED=
	$(BIN) bench robust --duration $(DURATION) --seed $(SEED)

.PHONY: robust-net
robust-net: build ## links between real processes cut and healed under load, same checks: DURATION= SEED= NODES=
	$(BIN) bench robust --mode net --duration $(DURATION) --seed $(SEED) --nodes $(NODES) --fault-every 2s

.PHONY: robust-elastic
robust-elastic: build ## nodes join, die for good and leave, ranges split, merge and move under load: DURATION= SEED=
	$(BIN) bench robust --mode elastic --duration $(DURATION) --seed $(SEED) --clients 9

.PHONY: gaps
gaps: build ## how long a client cannot write: leader and sequencer killed, nodes restarted: TRIES=
	$(BIN) bench gaps --tries $(TRIES)

.PHONY: idle
idle: build ## what many idle ranges cost: CPU, memory, restart: RANGES=
	$(BIN) bench idle --ranges $(RANGES)

.PHONY: fuzz
fuzz: ## every fuzz target for so long, one after the other; what fails stays as a test: FUZZTIME= RUN=
	@set -e; for p in $$(git grep -l '^func Fuzz' -- '*_test.go' | xargs -n1 dirname | sort -u); do \
		for f in $$(grep -h '^func Fuzz' $$p/*_test.go | sed 's/func \(Fuzz[A-Za-z0-9_]*\).*/\1/' | grep -E '$(RUN)'); do \
			echo "== $$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) ./$$p; \
		done; done

# Tools and database are modules, of fixed versions: what passed goes on to pass, and nothing else is asked.
.PHONY: vuln
vuln: vuln-tools ## known vulnerabilities in what is called, go.mod's toolchain included: VULNDB=latest for what is known today
	$(FIXED_GO) bin/govulncheck -db "file://$$($(GO) mod download -json golang.org/x/vulndb@$(VULNDB) | sed -n 's/^\t"Dir": "\(.*\)",$$/\1/p')/data/osv" $(PKGS)

.PHONY: vuln-tools
vuln-tools:
	$(FIXED_GO) $(GO) version
	$(FIXED_GO) GOBIN=$(CURDIR)/bin $(GO) install golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK)
	$(GO) mod download golang.org/x/vulndb@$(VULNDB)

.PHONY: limits
limits: build ## what no store on this machine can be faster than: echo server, engine alone, syncs
	$(BIN) bench limits

.PHONY: scaleout
scaleout: build etcd ## put throughput against nodes, each capped by a cgroup, beside etcd: ROUNDS=
	$(BIN) bench scaleout --etcd bin/etcd --rounds $(ROUNDS)

.PHONY: overload
overload: build bin/etcd ## what is answered in time when four times the peak of capped nodes is asked, beside etcd
	$(BIN) bench overload --etcd bin/etcd

.PHONY: greedy
greedy: build ## modest clients beside greedy ones at capped nodes: does one starve the others, or take all memory?
	$(BIN) bench greedy

.PHONY: restart
restart: build etcd ## from kill -9 of all nodes to the first read, and memory then, beside etcd: KEYS=
	$(BIN) bench restart --etcd bin/etcd --keys $(KEYS)

.PHONY: sim-saturation
sim-saturation: ## what bounds the writes of up to 100 nodes, in virtual time: SCALEOUT=report.json
	set -o pipefail; $(GO) test -count=1 -v ./placement/saturation -args -full -scaleout '$(if $(SCALEOUT),$(abspath $(SCALEOUT)))' | grep -v '^=== RUN'

.PHONY: sim-placement
sim-placement: ## placement of 100 nodes and 10,000 ranges in virtual time: grow, death, drain, hot ranges, zones
	set -o pipefail; $(GO) test -count=1 -v ./placement/simulation | grep -v '^=== RUN'

.PHONY: sim
sim: ## a whole cluster in virtual time, faults from a seed: SEED= STEPS= LOG=1, or SEEDS=1000 from SEED on
	$(GO) run ./sim/cmd/sim -seed $(SEED) -seeds $(SEEDS) $(if $(STEPS),-steps $(STEPS)) $(if $(LOG),-log)

.PHONY: sim-planted
sim-planted: ## bugs planted into a copy of the source, and the seed and check that catch each: BUG=all SEEDS=60 SEED=
	$(GO) run ./sim/cmd/sim -planted $(BUG) -seed $(SEED) -seeds $(if $(filter 1,$(SEEDS)),60,$(SEEDS))

.PHONY: bench
bench: build bin/etcd ## everything beside real etcd, with a report in bench/results (an hour or two): WORKLOADS= BENCHFLAGS=
	$(BIN) bench run --etcd bin/etcd $(if $(WORKLOADS),--workloads $(WORKLOADS)) $(BENCHFLAGS)

.PHONY: bench-quick
bench-quick: build bin/etcd ## the same in minutes: fewer workloads, smaller, short windows
	$(BIN) bench run --quick --etcd bin/etcd $(if $(WORKLOADS),--workloads $(WORKLOADS)) $(BENCHFLAGS)

.PHONY: bench-check
bench-check: build ## compare two results of bench, fail at a regression beyond noise: A=before B=after
	$(BIN) bench check --before $(A) --after $(B)

.PHONY: bench-compare
bench-compare: build bin/etcd ## puts and gets beside real etcd, and how long consistent lists wait: ROUNDS= FLOOR=
	$(BIN) bench compare --etcd bin/etcd --rounds $(ROUNDS) --floor $(FLOOR)
	$(BIN) bench progress --etcd bin/etcd

.PHONY: proto
proto: ## regenerate the wire types (needs protoc)
	GOBIN=$(CURDIR)/bin $(GO) install google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12
	GOBIN=$(CURDIR)/bin $(GO) install google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.2
	GOBIN=$(CURDIR)/bin $(GO) install github.com/planetscale/vtprotobuf/cmd/protoc-gen-go-vtproto@v0.6.0
	PATH=$(CURDIR)/bin:$$PATH proto/generate.sh

.PHONY: check
check: test ## what CI runs
