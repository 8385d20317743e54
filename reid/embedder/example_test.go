package embedder_test

import (
	"context"
	"fmt"
	"log"

	"github.com/deepmutual/dml/infer"
	"github.com/deepmutual/dml/reid"
	"github.com/deepmutual/dml/reid/embedder"
)

// Who is it? The gallery was made by dml reid gallery, with the same ONNX files.
func Example() {
	e, err := embedder.Open([]string{"resnet8-1.onnx", "resnet8-2.onnx"}, embedder.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer e.Close()
	gallery, err := reid.OpenGallery("people", e.Fingerprint())
	if err != nil {
		log.Fatal(err)
	}
	defer gallery.Close()

	vectors, err := e.Embed(context.Background(), infer.FromFile("upload.jpg"))
	if err != nil {
		log.Fatal(err)
	}
	hits, err := gallery.Search(context.Background(), vectors[0], reid.SearchOptions{Top: 5})
	if err != nil {
		log.Fatal(err)
	}
	for _, h := range hits[0] {
		fmt.Printf("%s, person %s by camera %s, at %.3f\n", h.Name, h.PID, h.Camera, h.Distance)
	}
}
