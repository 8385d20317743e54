package infer

// Input is memory for the samples of a call, in one of its fields: which one,
// TensorInfo.Uint8 tells.
type Input struct {
	Float32 []float32
	Uint8   []uint8
}

// newInput returns memory for n samples of the given size.
func newInput(t TensorInfo, n, sample int) Input {
	if t.Uint8 {
		return Input{Uint8: make([]uint8, n*sample)}
	}
	return Input{Float32: make([]float32, n*sample)}
}

// part returns the samples from up to to, each of the given size.
func (in Input) part(from, to, sample int) Input {
	if in.Uint8 != nil {
		return Input{Uint8: in.Uint8[from*sample : to*sample]}
	}
	return Input{Float32: in.Float32[from*sample : to*sample]}
}

// copyFrom fills in with other, which has as many values or fewer.
func (in Input) copyFrom(other Input) {
	copy(in.Float32, other.Float32)
	copy(in.Uint8, other.Uint8)
}

func (in Input) clear() {
	clear(in.Float32)
	clear(in.Uint8)
}
