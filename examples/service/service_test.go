package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"image"
	"image/png"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deepmutual/dml/infer"
	"github.com/deepmutual/dml/infer/infertest"
)

func picture(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 9, 9))); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func post(t *testing.T, url string, body []byte) (int, []byte) {
	t.Helper()
	r, err := http.Post(url, "image/png", bytes.NewReader(body))
	if err != nil {
		t.Error(err)
		return 0, nil
	}
	defer r.Body.Close()
	data, err := io.ReadAll(r.Body)
	if err != nil {
		t.Error(err)
	}
	return r.StatusCode, data
}

func newFake(t *testing.T, class int) *infertest.Fake {
	t.Helper()
	f, err := infertest.New(infertest.Options{
		Classes: []string{"cat", "dog"}, Features: 4, Infer: infer.Options{Join: &infer.Joining{}},
		Logits: func([]float32) []float32 {
			logits := make([]float32, 2)
			logits[class] = 1
			return logits
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestService(t *testing.T) {
	fake := newFake(t, 0)
	server := httptest.NewServer(handler(fake.Model))
	defer server.Close()

	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			status, data := post(t, server.URL+"/predict", picture(t))
			var top []infer.Score
			if err := json.Unmarshal(data, &top); status != http.StatusOK || err != nil || len(top) != 2 || top[0].Label != "cat" {
				t.Errorf("predict: %d %s", status, data)
			}
		})
	}
	wg.Wait()
	status, data := post(t, server.URL+"/embed", picture(t))
	var vector []float32
	if err := json.Unmarshal(data, &vector); status != http.StatusOK || err != nil || len(vector) != 4 {
		t.Errorf("embed: %d %s", status, data)
	}
	if status, data := post(t, server.URL+"/predict", []byte("hello")); status != http.StatusUnsupportedMediaType || !strings.Contains(string(data), "hello") {
		t.Errorf("no image: %d %s", status, data)
	}
	if status, data := post(t, server.URL+"/predict", make([]byte, maxImage+1)); status != http.StatusRequestEntityTooLarge {
		t.Errorf("a large body: %d %s", status, data)
	}
	fake.FailWith(errors.New("no luck"))
	if status, data := post(t, server.URL+"/predict", picture(t)); status != http.StatusInternalServerError || !strings.Contains(string(data), "no luck") {
		t.Errorf("a fault: %d %s", status, data)
	}
	if err := fake.Replace(newFake(t, 1).Model); err != nil {
		t.Error(err)
	}
	if _, data := post(t, server.URL+"/predict", picture(t)); !strings.HasPrefix(string(data), `[{"class":1,"label":"dog"`) {
		t.Errorf("after the swap: %s", data)
	}
	r, err := http.Get(server.URL + "/model")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	var info infer.Info
	if err := json.NewDecoder(r.Body).Decode(&info); err != nil || info.Architecture != "fake" {
		t.Errorf("model: %+v, %v", info, err)
	}
	if err := fake.Close(); err != nil {
		t.Error(err)
	}
	if status, _ := post(t, server.URL+"/predict", picture(t)); status != http.StatusServiceUnavailable {
		t.Errorf("closed: %d", status)
	}
}

// halfSent begins a request whose body never ends, and waits until the server reads
// it.
func halfSent(t *testing.T, address string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := io.WriteString(c, "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	// The server asks for the body when its handler reads.
	if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.Contains(line, "100") {
		t.Fatalf("%q, %v", line, err)
	}
	if _, err := io.WriteString(c, "half"); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestEndWithHalfSentBody: a client that never sends its body whole does not keep the
// service from ending well.
func TestEndWithHalfSentBody(t *testing.T) {
	listener, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- answerUntil(ctx, listener, handler(newFake(t, 0).Model), 50*time.Millisecond) }()
	halfSent(t, listener.Addr().String())
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestHalfSentBodies: they hold places for a bounded number of requests, and others
// are refused meanwhile.
func TestHalfSentBodies(t *testing.T) {
	server := httptest.NewServer(handler(newFake(t, 0).Model))
	defer server.Close()
	defer server.CloseClientConnections()
	for range maxRequests {
		halfSent(t, server.Listener.Addr().String())
	}
	if status, data := post(t, server.URL+"/predict", picture(t)); status != http.StatusServiceUnavailable {
		t.Errorf("beside %d half-sent bodies: %d %s", maxRequests, status, data)
	}
}

func TestMissingModel(t *testing.T) {
	if err := run(t.Context(), "localhost:0", 0, []string{"missing.onnx"}); err == nil || !strings.Contains(err.Error(), "missing.onnx") {
		t.Errorf("got %v", err)
	}
}
