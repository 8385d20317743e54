# The first two are all that a fresh machine with Go and Node.js needs.

.DEFAULT_GOAL := help
.PHONY: help demo test setup build lint race fuzz kernels bench

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' Makefile

demo: setup ## train, export and try two students on built-in data; re-identify synthetic pedestrians
	bin/dml demo

test: setup ## run all tests
	go test ./...

setup: ## install the native libraries (nothing is fetched when present) and build bin/dml
	scripts/setup.sh

build: ## build bin/dml
	go build -o bin/dml ./cmd/dml

lint: ## check formatting, vet, staticcheck, and that generated code is current
	@files=$$(gofmt -l .); if [ -n "$$files" ]; then echo "not gofmted: $$files" >&2; exit 1; fi
	go vet ./...
	go run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...
	internal/onnx/onnxpb/generate.sh --check

race: ## run the tests of concurrent packages under the race detector
	go test -race ./infer ./infer/infertest ./examples/... ./dataset/... ./reid ./reid/features ./reid/internal/store

fuzz: ## run every fuzz test for a few seconds
	scripts/fuzz.sh 5s

kernels: ## run the kernels' tests on oneDNN 2 and 3, with AVX2 alone too
	scripts/conformance.sh system
	scripts/conformance.sh system AVX2
	scripts/conformance.sh 3
	scripts/conformance.sh 3 AVX2

bench: ## compare with PyTorch, ONNX Runtime and torchreid (DML_PYTHON: a Python that has them, else one is fetched)
	scripts/bench.sh
