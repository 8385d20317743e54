package reid_test

import (
	"context"
	"fmt"

	"github.com/deepmutual/dml/reid"
)

// The features of four images of the gallery, two of them of the query's person.
func ExampleEvaluate() {
	query := reid.Set{
		Name: "query", Dim: 2, Features: []float32{1, 0},
		Labels: []reid.Label{{PID: 7, Camera: 1}},
	}
	gallery := reid.Set{
		Name: "gallery", Dim: 2, Features: []float32{
			1, 0, // the query's own camera: junk
			.9, .1,
			.8, .2,
			.1, .9,
		},
		Labels: []reid.Label{{PID: 7, Camera: 1}, {PID: 7, Camera: 2}, {PID: reid.Distractor, Camera: 2}, {PID: 7, Camera: 3}},
	}
	r, err := reid.Evaluate(context.Background(), query, gallery, reid.Options{Best: 2})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("mAP %.4f, trapezoidal %.4f, rank 1 %.2f\n", r.MAP, r.MAPTrapezoidal, r.CMC[1])
	for _, m := range r.PerQuery[0].Best {
		fmt.Printf("row %d at %.4f, match: %v\n", m.Gallery, m.Distance, m.Good)
	}
	// Output:
	// mAP 0.8333, trapezoidal 0.7917, rank 1 1.00
	// row 1 at 0.0061, match: true
	// row 2 at 0.0299, match: false
}

// Rankings by distances that were computed elsewhere.
func ExampleEvaluateDistances() {
	distances := []float32{.3, .1, .2}
	query := []reid.Label{{PID: 1, Camera: 1}}
	gallery := []reid.Label{{PID: 1, Camera: 2}, {PID: 2, Camera: 2}, {PID: 1, Camera: 3}}
	r, err := reid.EvaluateDistances(context.Background(), distances, query, gallery, reid.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("first match at rank %d, mAP %.4f\n", r.PerQuery[0].First, r.MAP)
	// Output: first match at rank 2, mAP 0.5833
}
