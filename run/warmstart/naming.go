package warmstart

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/deepmutual/dml/models"
)

// suffixes are the last parts of tensors' names that say what they are to
// their layer, in PyTorch and in Keras. The weight and bias of a batch norm
// are its gamma and beta.
var suffixes = map[string]models.Role{
	"weight": models.RoleWeight, "kernel": models.RoleWeight, "depthwise_kernel": models.RoleWeight,
	"bias":  models.RoleBias,
	"gamma": models.RoleGamma, "beta": models.RoleBeta,
	"running_mean": models.RoleRunningMean, "moving_mean": models.RoleRunningMean,
	"running_var": models.RoleRunningVar, "moving_variance": models.RoleRunningVar,
}

// wrappers are parts that training tools put before all names.
var wrappers = []string{"module.", "_orig_mod.", "model.", "backbone."}

// splitName divides the name of a tensor into its layer's, in the form
// "layer1.0.conv1", and the suffix.
func splitName(tensor string) (layer, suffix string) {
	name := strings.ReplaceAll(strings.TrimSuffix(tensor, ":0"), "/", ".")
	at := strings.LastIndexByte(name, '.')
	if at < 0 {
		return "", name
	}
	return withoutWrappers(name[:at]), name[at+1:]
}

func withoutWrappers(layer string) string {
	for {
		before := layer
		for _, w := range wrappers {
			layer = strings.TrimPrefix(layer, w)
		}
		if layer == before {
			return layer
		}
	}
}

// naming translates the names of another library's layers.
type naming struct {
	name  string // of the library, for people
	layer func(string) string
}

// namings lists them; the first leaves names as they are.
func namings() []naming {
	return []naming{
		{"PyTorch", func(layer string) string { return layer }},
		{"Keras MobileNet", kerasMobileNet},
		{"timm MobileNet", timmMobileNet},
	}
}

// classifiers are the names that libraries give to the layer of the logits.
var classifiers = []string{"linear", "fc", "classifier", "classifier.1", "head", "head.fc", "last_linear", "conv_preds", "predictions", "logits", "output"}

var kerasBlock = regexp.MustCompile(`^conv_(dw|pw)_(\d+)(_bn)?$`)

// kerasMobileNet translates names of tf.keras.applications.MobileNet.
func kerasMobileNet(layer string) string {
	if layer == "conv1_bn" {
		return "bn1"
	}
	m := kerasBlock.FindStringSubmatch(layer)
	if m == nil {
		return layer
	}
	return mobileNetLayer(m[2], m[1] == "pw", m[3] != "")
}

var timmBlock = regexp.MustCompile(`^blocks\.(\d)\.(\d)\.(conv_dw|bn1|conv_pw|bn2)$`)

// timmMobileNet translates names of timm's mobilenetv1, whose blocks are
// numbered within five stages.
func timmMobileNet(layer string) string {
	if layer == "conv_stem" {
		return "conv1"
	}
	m := timmBlock.FindStringSubmatch(layer)
	if m == nil {
		return layer
	}
	first := []int{1, 2, 4, 6, 12} // block of each stage
	stage, _ := strconv.Atoi(m[1])
	block, _ := strconv.Atoi(m[2])
	if stage >= len(first) {
		return layer
	}
	number := strconv.Itoa(first[stage] + block)
	return mobileNetLayer(number, strings.HasSuffix(m[3], "2") || m[3] == "conv_pw", strings.HasPrefix(m[3], "bn"))
}

// mobileNetLayer is the name of a layer of our MobileNet.
func mobileNetLayer(block string, pointwise, norm bool) string {
	switch {
	case pointwise && norm:
		return fmt.Sprintf("block%s.bn2", block)
	case pointwise:
		return fmt.Sprintf("block%s.pointwise", block)
	case norm:
		return fmt.Sprintf("block%s.bn1", block)
	}
	return fmt.Sprintf("block%s.depthwise", block)
}
