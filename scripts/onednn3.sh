#!/bin/sh
# Prints the path of a oneDNN 3 library, for tests on systems that bring
# version 2. The first time it fetches the library as a Python package (x86-64
# Linux, GNU OpenMP), into the toolkit's cache folder. Nothing is installed.
# Where that cannot be done it says why and exits with 1.
set -eu

# The newest build for GNU OpenMP; other builds need SYCL or TBB, which are refused.
version=2023.2.0 # oneDNN 3.2.0
hash=2f22a54d6a890ed14bfa185d42a4be65d8b5b1df85dc1f0f3a9abe31620416fb

dir=${DML_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/dml}/onednn/$version
library=$dir/libdnnl.so.3
if [ -s "$library" ]; then
	echo "$library"
	exit
fi

fail() {
	echo "oneDNN 3: $*" >&2
	exit 1
}

platform=$(uname -s)/$(uname -m)
[ "$platform" = Linux/x86_64 ] || fail "the package is for x86-64 Linux, this is $platform"
mkdir -p "$dir"
tmp=$(mktemp -d "$dir/tmp.XXXXXX")
trap 'rm -rf "$tmp"' EXIT

python=python3
command -v "$python" >/dev/null 2>&1 || fail "there is no python3 to fetch the package with"
if ! "$python" -m pip --version >/dev/null 2>&1; then
	"$python" -m venv "$tmp/venv" >/dev/null 2>&1 || fail "python3 has neither pip nor venv"
	python=$tmp/venv/bin/python
fi
echo "onednn-cpu-gomp==$version --hash=sha256:$hash" >"$tmp/requirements"
"$python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
	--dest "$tmp" --requirement "$tmp/requirements" >"$tmp/log" 2>&1 ||
	fail "pip cannot fetch onednn-cpu-gomp $version: $(tail -n 1 "$tmp/log")"
"$python" - "$tmp"/*.whl "$tmp/libdnnl.so.3" <<'PYTHON' || fail "the package could not be unpacked"
import shutil, sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as wheel:
    name = next(n for n in wheel.namelist() if n.endswith("/libdnnl.so.3"))
    with wheel.open(name) as source, open(sys.argv[2], "wb") as target:
        shutil.copyfileobj(source, target)
PYTHON
sync "$tmp/libdnnl.so.3"
mv "$tmp/libdnnl.so.3" "$library"
echo "$library"
