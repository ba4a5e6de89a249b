# test needs Go alone. check adds what a release needs and installs what it needs for that.
.PHONY: test check bench peers fuzz faults generate lint

SLOW := YINGBI_SLOW=1
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
FUZZTIME ?= 24m

test:
	go test ./...

# Race detector on everything that is quick, then the slow proofs without it (they are arithmetic,
# not concurrency), then the attacks and the crashes, which list what they tried and what became of
# it, then the portable kernels once more under the tag that will exclude assembly.
check: lint
	.ci/install
	go test -race ./...
	$(SLOW) go test -timeout 30m $$(go list ./... | grep -v /enclave/faults)
	go test -v -run 'TestAttacks$$' ./sdk
	$(SLOW) go test -timeout 30m -v ./enclave/faults
	go test -tags purego ./compute/...
	.ci/generated
	cd benchmarks/peers && go test -mod=mod ./...

lint:
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "gofmt would change these files: run gofmt -w"; exit 1; }
	go vet ./...
	go run $(STATICCHECK) ./...

bench:
	go run ./benchmarks

# Compares every measure of compute/columnar with DuckDB's, and the speed. Needs a C linker: a
# module of its own, whose prebuilt library comes through the module proxy and whose versions
# follow the main module's (-mod=mod).
peers:
	cd benchmarks/peers && go test -mod=mod ./... && go run -mod=mod .

fuzz:
	.ci/fuzz $(FUZZTIME)

# Kills and fails every verb at every point, and says how many; make check takes every few.
faults:
	YINGBI_FAULTS=all go test -timeout 60m -v ./enclave/faults

generate:
	.ci/generate
