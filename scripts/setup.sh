#!/bin/sh
# Installs what dml needs beside Go: a C compiler to build it, oneDNN's runtime
# library to train fast, ONNX Runtime's to export and serve; and builds bin/dml.
# It fetches nothing that is present, and may be run again at any time.
set -eu
cd "$(dirname "$0")/.."

note() { echo "setup: $*" >&2; }

# as_root runs a command as root, where that is possible without a question.
as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null 2>&1; then
		sudo -n "$@"
	else
		note "cannot run '$*': not root, and there is no sudo"
		return 1
	fi
}

apt_updated=
apt_update() {
	[ -n "$apt_updated" ] || as_root apt-get update -q </dev/null >&2
	apt_updated=yes
}

apt_install() {
	note "installing $*"
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" </dev/null >&2
}

# apt_has tells whether the package lists hold a package.
apt_has() { [ -n "$(apt-cache madison "$1" 2>/dev/null)" ]; }

have_onednn() {
	[ -n "${DML_ONEDNN_LIBRARY:-}" ] && return 0
	for f in /usr/lib/*/libdnnl.so.[23] /usr/lib/libdnnl.so.[23] /usr/lib64/libdnnl.so.[23] \
		/usr/local/lib/libdnnl.so.[23] /opt/homebrew/lib/libdnnl.[23].dylib /usr/local/lib/libdnnl.[23].dylib; do
		[ -e "$f" ] && return 0
	done
	return 1
}

install_onednn() {
	if command -v apt-get >/dev/null 2>&1; then
		apt_has libdnnl3 || apt_has libdnnl2 || apt_update || return 1
		if apt_has libdnnl3; then
			apt_install libdnnl3
		else
			apt_install libdnnl2
		fi
	elif command -v brew >/dev/null 2>&1; then
		note "installing onednn"
		brew install onednn </dev/null >&2
	else
		return 1
	fi
}

if ! command -v go >/dev/null 2>&1; then
	note "Go is missing: install version $(sed -n 's/^go //p' go.mod) or later"
	exit 1
fi

if ! command -v "$(go env CC)" >/dev/null 2>&1; then
	if ! command -v apt-get >/dev/null 2>&1; then
		note "a C compiler is missing: install one (macOS: xcode-select --install)"
		exit 1
	fi
	apt_has gcc || apt_update
	apt_install gcc libc6-dev
fi

if ! have_onednn && ! install_onednn; then
	note "oneDNN could not be installed: training will run on slow reference kernels ('dml doctor' says what to type)"
fi

go build -o bin/dml ./cmd/dml
bin/dml runtime install
bin/dml doctor
