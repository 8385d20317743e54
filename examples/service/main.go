// Command service classifies images over HTTP with exported students.
//
//	service [-listen ADDR] MODEL.onnx...
//
// Several models answer as an ensemble. POST an image, JPEG or PNG:
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
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/deepmutual/dml/infer"
)

func main() {
	listen := flag.String("listen", "localhost:8080", "address to serve at")
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
	if err := run(*listen, *wait, flag.Args()); err != nil {
		slog.Error("service ends", "error", err)
		os.Exit(1)
	}
}

// open makes the predictor that serves: a cohort behind a batcher.
func open(paths []string, wait time.Duration) (infer.Predictor, error) {
	cohort, err := infer.OpenCohort(paths, infer.Options{})
	if err != nil {
		return nil, err
	}
	batcher, err := infer.NewBatcher(cohort, infer.BatcherOptions{MaxWait: wait})
	if err != nil {
		return nil, errors.Join(err, cohort.Close())
	}
	return batcher, nil
}

func run(listen string, wait time.Duration, paths []string) error {
	first, err := open(paths, wait)
	if err != nil {
		return err
	}
	slot := infer.NewSlot(first)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	go func() {
		for {
			select {
			case <-reload:
				next, err := open(paths, wait)
				if err == nil {
					err = slot.Swap(next)
				}
				if err != nil {
					slog.Error("models are not loaded again", "error", err)
					continue
				}
				slog.Info("models loaded again")
			case <-ctx.Done():
				return
			}
		}
	}()
	server := &http.Server{Addr: listen, Handler: handler(slot), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.ListenAndServe() }()
	slog.Info("serving", "address", listen, "model", slot.Info().Architecture)
	select {
	case err = <-served:
	case <-ctx.Done():
		patience, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		err = server.Shutdown(patience)
	}
	return errors.Join(err, slot.Close())
}
