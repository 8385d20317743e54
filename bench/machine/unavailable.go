//go:build !cgo

package machine

// Measure returns ErrUnavailable in this build.
func Measure(int) (Limits, error) { return Limits{}, ErrUnavailable }
