#!/bin/sh
# Runs the bench: scripts/bench.sh [flags of ./bench]. PyTorch and onnxruntime are those of the
# Python that DML_PYTHON names, else the newest that pip gives, in an environment
# of its own in the toolkit's cache folder (several GB on Linux, the first time).
# torchreid comes without what it needs for training: its evaluator needs torch and numpy.
set -eu
cd "$(dirname "$0")/.."

if [ -z "${DML_PYTHON:-}" ]; then
	environment=${DML_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/dml}/bench
	DML_PYTHON=$environment/bin/python
	if [ ! -x "$DML_PYTHON" ] || ! "$DML_PYTHON" -m pip --version >/dev/null 2>&1; then
		python3 -m venv "$environment"
	fi
	"$DML_PYTHON" -m pip install --quiet --disable-pip-version-check --upgrade torch onnxruntime numpy
	"$DML_PYTHON" -m pip install --quiet --disable-pip-version-check --no-deps pyppbox-torchreid==1.4.1.0 ||
		echo "bench: torchreid is not to be had for this Python, and is left out" >&2
	export DML_PYTHON
fi
exec go run ./bench "$@"
