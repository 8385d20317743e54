package gorgonia

import (
	"fmt"
	"strings"

	"github.com/deepmutual/dml/infer"
)

// OperatorError names the operators of a model that cannot be computed.
// errors.Is finds infer.ErrUnsupported in it.
type OperatorError struct {
	// Operators, each once, such as "Clip", or "Conv with groups" where a use of
	// it is the fault.
	Operators []string
}

func (e *OperatorError) Error() string {
	return fmt.Sprintf("%s: onnx-go does not compute %s", infer.ErrUnsupported, strings.Join(e.Operators, ", "))
}

func (e *OperatorError) Unwrap() error { return infer.ErrUnsupported }
