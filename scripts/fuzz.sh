#!/bin/sh
# Runs every fuzz test of the repository for a while: scripts/fuzz.sh 5s
# Little time goes into making inputs smaller, which would take all of it.
set -eu
cd "$(dirname "$0")/.."
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# fuzz DIR NAME TIME. Go sometimes calls it a failure that the time ran out while
# a worker was busy; a real one writes its input to a file.
fuzz() {
	if go test -run '^$' -fuzz "^$2\$" -fuzztime "$3" -fuzzminimizetime 10x "$1" </dev/null >"$log" 2>&1; then
		tail -n 1 "$log"
	elif grep -q 'context deadline exceeded' "$log" && ! grep -q 'Failing input written' "$log"; then
		echo "the time ran out in the middle of an input; nothing failed"
	else
		cat "$log"
		return 1
	fi
}

grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u | while read -r dir; do
	for name in $(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$dir"/*_test.go); do
		echo "fuzz: $dir $name"
		fuzz "$dir" "$name" "${1:-5s}"
	done
done
