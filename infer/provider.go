package infer

import "fmt"

// Provider asks for one of ONNX Runtime's execution providers. The zero value
// is the processor.
type Provider struct {
	// Name as ONNX Runtime writes it, with or without "ExecutionProvider":
	// CUDA, TensorRT, CoreML, DirectML, OpenVINO, XNNPACK, QNN, ... Empty, or CPU,
	// is the processor.
	Name string
	// Options go to the provider as they are, such as device_id of CUDA.
	Options map[string]string
}

func (p Provider) String() string {
	if p.Name == "" {
		return "CPU"
	}
	if len(p.Options) == 0 {
		return p.Name
	}
	return fmt.Sprintf("%s %v", p.Name, p.Options)
}
