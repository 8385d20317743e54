package main

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"

	"github.com/deepmutual/dml/infer"
)

// Bodies of so many requests, of at most so many bytes each, are in memory at a time:
// one that is sent slowly, or never to its end, holds no more.
const (
	maxRequests = 32
	maxImage    = 8 << 20
)

// handler answers by what p predicts.
func handler(p *infer.Model) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /predict", func(w http.ResponseWriter, r *http.Request) {
		image, ok := body(w, r)
		if !ok {
			return
		}
		predictions, err := p.Predict(r.Context(), image)
		if err != nil {
			refuse(w, err)
			return
		}
		answer(w, http.StatusOK, predictions[0].Top)
	})
	mux.HandleFunc("POST /embed", func(w http.ResponseWriter, r *http.Request) {
		image, ok := body(w, r)
		if !ok {
			return
		}
		vectors, err := p.Embed(r.Context(), image)
		if err != nil {
			refuse(w, err)
			return
		}
		answer(w, http.StatusOK, vectors[0])
	})
	mux.HandleFunc("GET /model", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, p.Info()) })
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, p.Stats()) })
	return atOnce(maxRequests, mux)
}

// atOnce lets so many requests be answered at a time and refuses others.
func atOnce(n int, h http.Handler) http.Handler {
	places := make(chan struct{}, n)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case places <- struct{}{}:
			defer func() { <-places }()
			h.ServeHTTP(w, r)
		default:
			w.Header().Set("Retry-After", "1")
			answer(w, http.StatusServiceUnavailable, fault{"too many requests at once"})
		}
	})
}

// body reads the image that a request carries.
func body(w http.ResponseWriter, r *http.Request) (infer.Image, bool) {
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxImage))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		answer(w, http.StatusRequestEntityTooLarge, fault{err.Error()})
	case err != nil:
		answer(w, http.StatusBadRequest, fault{err.Error()})
	}
	return infer.FromBytes(data), err == nil
}

// fault is the answer where there is no other.
type fault struct {
	Error string `json:"error"`
}

// refuse chooses the status by whose fault it is.
func refuse(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	switch {
	case errors.Is(err, infer.ErrImage):
		status = http.StatusUnsupportedMediaType
	case errors.Is(err, infer.ErrNoOutput), errors.Is(err, infer.ErrNoMetadata):
		status = http.StatusNotImplemented
	case errors.Is(err, infer.ErrClosed), errors.Is(err, infer.ErrCancelled):
		status = http.StatusServiceUnavailable
	}
	answer(w, status, fault{err.Error()})
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		slog.Warn("an answer was not sent", "error", err)
	}
}
