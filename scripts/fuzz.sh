#!/bin/sh
# Runs every fuzz test of the repository for a while: scripts/fuzz.sh 5s
# Little time goes into making inputs smaller, which would take all of it.
set -eu
cd "$(dirname "$0")/.."
grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u | while read -r dir; do
	for name in $(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$dir"/*_test.go); do
		echo "fuzz: $dir $name"
		go test -run '^$' -fuzz "^$name\$" -fuzztime "${1:-5s}" -fuzzminimizetime 10x "$dir" </dev/null
	done
done
