// Package exporttest makes ONNX files of untrained students, for tests.
package exporttest

import (
	"testing"

	"github.com/deepmutual/dml/export"
	"github.com/deepmutual/dml/models"
)

// Network returns a network of the catalog.
func Network(t testing.TB, arch string, in models.Shape, classes int) *models.Network {
	t.Helper()
	net, err := models.Build(arch, in, classes)
	if err != nil {
		t.Fatal(err)
	}
	return net
}

// Student exports net with the weights of a seed.
func Student(t testing.TB, net *models.Network, seed uint64, opts export.Options) []byte {
	t.Helper()
	data, err := export.Marshal(net, weights(t, net, seed), opts)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Cohort exports networks as one file, with the weights of seeds 1, 2, ... The
// students are named a, b, ...
func Cohort(t testing.TB, opts export.Options, nets ...*models.Network) []byte {
	t.Helper()
	var students []export.Student
	for i, net := range nets {
		students = append(students, export.Student{Name: string(rune('a' + i)), Network: net, Weights: weights(t, net, uint64(i+1))})
	}
	data, err := export.MarshalCohort(students, opts)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func weights(t testing.TB, net *models.Network, seed uint64) models.Weights {
	t.Helper()
	w, err := net.Init(seed)
	if err != nil {
		t.Fatal(err)
	}
	return w
}
