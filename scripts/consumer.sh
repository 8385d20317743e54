#!/bin/sh
# Builds a module of its own that imports what services do, infer and (where it
# is there) reid, with and without cgo, and checks what is compiled into it.
set -eu
cd "$(dirname "$0")/.."
root=$PWD
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

module=$(go list -m)
{
	echo "module example.com/consumer"
	echo
	echo "go $(go list -m -f '{{.GoVersion}}')"
	echo
	echo "require $module v0.0.0"
	echo
	echo "replace $module => $root"
} >"$dir/go.mod"
cp go.sum "$dir/go.sum"
reid=
if [ -d reid ]; then
	reid="_ \"$module/reid\""
else
	echo "note: there is no package reid yet"
fi
cat >"$dir/main.go" <<GO
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"$module/infer"
	$reid
)

func main() {
	m, err := infer.Open(infer.Options{}, os.Args[1:]...)
	if errors.Is(err, infer.ErrNoRuntime) {
		fmt.Println("no runtime:", err)
		return
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	defer m.Close()
	_, err = m.Predict(context.Background(), infer.FromFile("none.jpg"))
	fmt.Println(m.Info().Architecture, err)
}
GO
cat >"$dir/main_test.go" <<GO
package main

import (
	"context"
	"image"
	"testing"

	"$module/infer"
	"$module/infer/infertest"
)

func TestFake(t *testing.T) {
	f, err := infertest.New(infertest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Predict(context.Background(), infer.FromImage(image.NewGray(image.Rect(0, 0, 9, 9)))); err != nil {
		t.Error(err)
	}
}
GO
cd "$dir"
export GOFLAGS=-mod=mod GOWORK=off
for cgo in 0 1; do
	CGO_ENABLED=$cgo go build -o consumer-$cgo .
	CGO_ENABLED=$cgo go vet .
	deps=$(CGO_ENABLED=$cgo go list -deps .)
	if echo "$deps" | grep -E "gorgonia|^net/http\$|^$module/(train|export|internal/engine/kernel)"; then
		echo "the consumer compiles training code, or an HTTP client" >&2
		exit 1
	fi
	echo "cgo $cgo: $(echo "$deps" | wc -l | tr -d ' ') packages; modules: $(go version -m consumer-$cgo | awk '$1 == "dep" {printf "%s ", $2}')"
done
CGO_ENABLED=0 go test .
if ./consumer-0 student.onnx | tee out; ! grep -q '^no runtime: .*CGO_ENABLED=0' out; then
	echo "the program without cgo does not say so" >&2
	exit 1
fi
