package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"image"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

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
		Classes: []string{"cat", "dog"}, Features: 4,
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
	batcher, err := infer.NewBatcher(fake.Model, infer.BatcherOptions{})
	if err != nil {
		t.Fatal(err)
	}
	slot := infer.NewSlot(batcher)
	server := httptest.NewServer(handler(slot))
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
	if err := slot.Swap(newFake(t, 1)); err != nil {
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
	if err := slot.Close(); err != nil {
		t.Error(err)
	}
	if status, _ := post(t, server.URL+"/predict", picture(t)); status != http.StatusServiceUnavailable {
		t.Errorf("closed: %d", status)
	}
}

func TestMissingModel(t *testing.T) {
	if err := run("localhost:0", 0, []string{"missing.onnx"}); err == nil || !strings.Contains(err.Error(), "missing.onnx") {
		t.Errorf("got %v", err)
	}
}
