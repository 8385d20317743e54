// Command dml trains cohorts of students by deep mutual learning, exports them
// to ONNX and infers with them. Run "dml --help".
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/deepmutual/dml/cmd/dml/internal/app"
)

func main() {
	stops := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // as under nohup, which asks to go on
		stops = append(stops, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), stops...)
	// The first Ctrl-C asks for an orderly stop. From then on the signals have
	// their default effect again, so a second one ends the process at once.
	context.AfterFunc(ctx, stop)
	os.Exit(app.Run(ctx, os.Args, os.Stdout, os.Stderr))
}
