#!/bin/sh
# Runs every fuzz test of the repository for a while: scripts/fuzz.sh 5s
set -eu
cd "$(dirname "$0")/.."
grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u | while read -r dir; do
	for name in $(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$dir"/*_test.go); do
		echo "fuzz: $dir $name"
		go test -run '^$' -fuzz "^$name\$" -fuzztime "${1:-5s}" "$dir" </dev/null
	done
done
