// Command service classifies images over HTTP with exported students.
//
//	service [-listen ADDR] MODEL.onnx...
//
// Several models answer as an ensemble. POST an image:
//
//	curl --data-binary @cat.jpg localhost:8080/predict
//	curl --data-binary @cat.jpg localhost:8080/embed
//
// Requests that come together go through the network together. SIGHUP loads
// the files again while the service answers, SIGINT and SIGTERM let it finish
// what it has begun.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/deepmutual/dml/infer"
)

func main() {
	listen := flag.String("listen", "localhost:8080", "address to answer at")
	wait := flag.Duration("wait", 2*time.Millisecond, "how long a request waits for others to go with")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: service [flags] MODEL.onnx...")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *listen, *wait, flag.Args()); err != nil {
		slog.Error("service ends", "error", err)
		os.Exit(1)
	}
}

// run answers until ctx ends.
func run(ctx context.Context, address string, wait time.Duration, paths []string) error {
	// An image of 64 MiB decoded has 16 megapixels and more, and no more than two
	// are decoded at a time.
	opts := infer.Options{Join: &infer.Joining{MaxWait: wait}, MaxPixels: 64 << 20, Decodes: 2}
	model, err := infer.Open(opts, paths...)
	if err != nil {
		return err
	}
	defer model.Close()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go reload(ctx, model, opts, paths)
	slog.Info("ready", "address", listener.Addr(), "model", model.Info().Architecture)
	return answerUntil(ctx, listener, handler(model), 10*time.Second)
}

// reload loads the files again at each SIGHUP, until ctx ends.
func reload(ctx context.Context, model *infer.Model, opts infer.Options, paths []string) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	for {
		select {
		case <-hangup:
			next, err := infer.Open(opts, paths...)
			if err == nil {
				err = model.Replace(next)
			}
			slog.Info("models loaded again", "error", err)
		case <-ctx.Done():
			return
		}
	}
}

// answerUntil answers requests until ctx ends. Those under way then have patience
// to finish; what is left, such as a body that was never sent whole, is cut off.
func answerUntil(ctx context.Context, listener net.Listener, h http.Handler, patience time.Duration) error {
	server := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: time.Minute}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		slog.Warn("requests that did not end were cut off")
		return server.Close()
	}
	return err
}
