package infer

import (
	"context"
	"fmt"
	"image"
	"reflect"
	"sync"
)

// Slot is a Predictor that can be replaced by another while it serves.
type Slot struct {
	mu      sync.Mutex
	current *occupant
	closed  bool
}

// occupant is a Predictor and the calls of it that are under way.
type occupant struct {
	Predictor
	gate gate
}

// NewSlot makes a slot that holds p, and closes it when it is closed or
// replaced.
func NewSlot(p Predictor) *Slot { return &Slot{current: &occupant{Predictor: p}} }

// Swap lets next serve later calls, waits for those under way, and closes what
// served them; the error is that of closing. No call is dropped. A closed slot
// gives ErrClosed and leaves next as it was. What the slot holds already, or nil,
// gives ErrWrongInput and changes nothing.
func (s *Slot) Swap(next Predictor) error {
	if next == nil {
		return fmt.Errorf("infer: %w: nil in place of a model", ErrWrongInput)
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return fmt.Errorf("infer: %w", ErrClosed)
	}
	last := s.current
	if same(last.Predictor, next) {
		s.mu.Unlock()
		return fmt.Errorf("infer: %w: the slot holds this model already", ErrWrongInput)
	}
	s.current = &occupant{Predictor: next}
	s.mu.Unlock()
	return last.retire()
}

// same reports one predictor that is there twice. One of another package may be of
// a type that cannot be compared.
func same(a, b Predictor) bool {
	return reflect.ValueOf(a).Comparable() && reflect.ValueOf(b).Comparable() && a == b
}

// retire waits for calls under way and closes the predictor.
func (o *occupant) retire() error {
	o.gate.close()
	return o.Predictor.Close()
}

// Close waits for calls under way and closes what the slot holds.
func (s *Slot) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	return s.current.retire()
}

// enter starts a call of what the slot holds, which its gate's leave ends.
func (s *Slot) enter() (*occupant, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, fmt.Errorf("infer: %w", ErrClosed)
	}
	return s.current, s.current.gate.enter()
}

// Predict classifies images by what the slot holds.
func (s *Slot) Predict(ctx context.Context, images ...Image) ([]Prediction, error) {
	o, err := s.enter()
	if err != nil {
		return nil, err
	}
	defer o.gate.leave()
	return o.Predictor.Predict(ctx, images...)
}

// Embed returns the features of images by what the slot holds.
func (s *Slot) Embed(ctx context.Context, images ...Image) ([][]float32, error) {
	o, err := s.enter()
	if err != nil {
		return nil, err
	}
	defer o.gate.leave()
	return o.Predictor.Embed(ctx, images...)
}

// EmbedImages is Embed of decoded images, which makes a Slot an Embedder of
// package reid.
func (s *Slot) EmbedImages(ctx context.Context, images ...image.Image) ([][]float32, error) {
	return s.Embed(ctx, fromImages(images)...)
}

// Run runs what the slot holds on raw samples.
func (s *Slot) Run(ctx context.Context, batch []float32, n int) (Outputs, error) {
	o, err := s.enter()
	if err != nil {
		return Outputs{}, err
	}
	defer o.gate.leave()
	return o.Predictor.Run(ctx, batch, n)
}

// RunPixels runs what the slot holds on 8-bit pixels. A Predictor that is none of
// this package's, and has no such method, gives ErrUnsupported.
func (s *Slot) RunPixels(ctx context.Context, batch []uint8, n int) (Outputs, error) {
	o, err := s.enter()
	if err != nil {
		return Outputs{}, err
	}
	defer o.gate.leave()
	p, can := o.Predictor.(interface {
		RunPixels(ctx context.Context, batch []uint8, n int) (Outputs, error)
	})
	if !can {
		return Outputs{}, fmt.Errorf("infer: %w: a %T does not take 8-bit pixels", ErrUnsupported, o.Predictor)
	}
	return p.RunPixels(ctx, batch, n)
}

// Info describes what the slot holds, or held last.
func (s *Slot) Info() Info {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current.Info()
}
