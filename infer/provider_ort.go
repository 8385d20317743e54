//go:build cgo

package infer

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	ort "github.com/yalue/onnxruntime_go"
)

// add asks for the provider in a session's options. The library has an entry
// of its own for some, and one for all others. The error is a *ProviderError.
func (p Provider) add(o *ort.SessionOptions) error {
	name := strings.TrimSuffix(p.Name, "ExecutionProvider")
	var err error
	switch strings.ToLower(name) {
	case "", "cpu":
		if len(p.Options) > 0 {
			err = errors.New("the processor takes no options")
		}
	case "cuda":
		err = p.addCUDA(o)
	case "tensorrt":
		err = p.addTensorRT(o)
	case "coreml":
		err = o.AppendExecutionProviderCoreMLV2(p.Options)
	case "openvino":
		err = o.AppendExecutionProviderOpenVINO(p.Options)
	case "directml", "dml":
		err = p.addDirectML(o)
	default:
		err = o.AppendExecutionProvider(name, p.Options)
	}
	if err != nil {
		return &ProviderError{Name: p.Name, Err: err}
	}
	return nil
}

func (p Provider) addCUDA(o *ort.SessionOptions) error {
	c, err := ort.NewCUDAProviderOptions()
	if err != nil {
		return err
	}
	defer c.Destroy()
	if err := p.update(c); err != nil {
		return err
	}
	return o.AppendExecutionProviderCUDA(c)
}

func (p Provider) addTensorRT(o *ort.SessionOptions) error {
	c, err := ort.NewTensorRTProviderOptions()
	if err != nil {
		return err
	}
	defer c.Destroy()
	if err := p.update(c); err != nil {
		return err
	}
	return o.AppendExecutionProviderTensorRT(c)
}

// update passes the options on, if there are any.
func (p Provider) update(to interface{ Update(map[string]string) error }) error {
	if len(p.Options) == 0 {
		return nil
	}
	return to.Update(p.Options)
}

func (p Provider) addDirectML(o *ort.SessionOptions) error {
	device := 0
	for key, value := range p.Options {
		var err error
		if key != "device_id" {
			return fmt.Errorf("it has no option %q, only device_id", key)
		}
		if device, err = strconv.Atoi(value); err != nil {
			return fmt.Errorf("its device_id is %q: %w", value, err)
		}
	}
	return o.AppendExecutionProviderDirectML(device)
}
