#!/bin/sh
# Runs the kernels' conformance suite on a oneDNN library and says on which:
#
#	scripts/conformance.sh system         the library that the toolkit finds: the system's
#	scripts/conformance.sh 3              version 3, fetched by scripts/onednn3.sh,
#	                                      and steps of training against PyTorch's
#	scripts/conformance.sh system AVX2    limited to an older instruction set
#
# A suite that cannot run here prints SKIPPED and the reason, and is no failure.
set -eu
cd "$(dirname "$0")/.."
which=$1 limit=${2:-}

log=$(mktemp)
trap 'rm -f "$log"' EXIT

skip() {
	echo "SKIPPED: $*"
	exit 0
}

if [ "$which" = 3 ]; then
	DML_ONEDNN_LIBRARY=$(scripts/onednn3.sh 2>"$log") || skip "$(cat "$log")"
	export DML_ONEDNN_LIBRARY
elif [ "$which" != system ]; then
	echo "usage: $0 system|3 [AVX2|SSE41]" >&2
	exit 2
fi
if [ -n "$limit" ]; then
	isa=$(echo "$limit" | tr '[:upper:]' '[:lower:]')
	# The processor's flags say sse4_1.
	tr -d _ </proc/cpuinfo 2>/dev/null | grep -qw "$isa" || skip "this processor has no $limit, or does not tell"
	export ONEDNN_MAX_CPU_ISA="$limit"
fi

# run PATTERN PACKAGE runs tests, prints those of the first level, and fails
# unless all pass.
run() {
	if ! go test -count=1 -v -run "$1" "$2" >"$log" 2>&1; then
		grep -v -e '=== RUN' -e '--- PASS' "$log" >&2
		exit 1
	fi
}

run '^(TestConformance|TestLayout|TestMultiplier)$' ./internal/engine/kernel/onednn
if grep -q '^--- SKIP: TestConformance' "$log"; then
	skip "$(sed -n 's/^ *onednn_test.go:[0-9]*: //p' "$log" | head -n 1)"
fi
sed -n 's/^ *onednn_test.go:[0-9]*: {\(Name:.*\)}$/\1/p' "$log"
if [ -n "$limit" ] && ! grep -q "ISA:$isa}" "$log"; then
	echo "the suite did not run with $limit" >&2
	exit 1
fi
for name in TestConformance TestLayout TestMultiplier; do
	grep "^--- PASS: $name " "$log"
done
echo "    $(grep -c '^  *--- PASS' "$log") subtests passed, $(grep -c '^  *--- SKIP' "$log" || true) skipped"

if [ "$which" = 3 ]; then
	run '^TestGoldenSteps$/^onednn$' ./train
	sed -n 's/^ *step_test.go:[0-9]*: /train: /p' "$log"
	grep '^--- PASS: TestGoldenSteps ' "$log"
fi
