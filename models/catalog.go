package models

import (
	"errors"
	"fmt"
	"strings"
)

// ErrUnknown is wrapped by Lookup, Find and Build for a name that is no
// architecture.
var ErrUnknown = errors.New("unknown architecture")

// Architecture is a network for any number of classes and any input it fits.
type Architecture struct {
	Name    string
	Summary string
	// Input is the shape it was designed for; any other that fits works. The
	// zero shape is that of a file that names none.
	Input Shape
	// Classes is the number of classes that the architecture is bound to; 0
	// for any.
	Classes int
	build   func(input Shape, classes int) (*Network, error)
}

// Build makes the network for an input shape and a number of classes.
func (a Architecture) Build(input Shape, classes int) (*Network, error) {
	if a.build == nil {
		return nil, fmt.Errorf("%w %q: it comes from neither Lookup, Find nor ParseArchitecture", ErrUnknown, a.Name)
	}
	return a.build(input, classes)
}

// Catalog lists the architectures that ship with the toolkit; of the wide
// ResNets, two of many.
//
// Networks made for large images choose their stem by the input: 32x32 images would
// vanish in strides made for 224x224, so inputs with a side under 64 are reduced
// less. Wide ResNets and the ResNets of 8, 20, 32, 44 and 56 layers are the CIFAR
// networks at any size.
func Catalog() []Architecture {
	cifar, imageNet := Shape{C: 3, H: 32, W: 32}, Shape{C: 3, H: 224, W: 224}
	out := []Architecture{{
		Name: "convnet", Summary: "three stride-2 convolutions, for small images and first tries",
		Input: Shape{C: 1, H: 28, W: 28}, build: convNet,
	}}
	for _, depth := range []int{8, 20, 32, 44, 56} {
		out = append(out, Architecture{
			Name:    fmt.Sprintf("resnet%d", depth),
			Summary: "CIFAR ResNet, option A shortcuts (He et al., 2016)",
			Input:   cifar,
			build:   func(in Shape, classes int) (*Network, error) { return resNet(depth, in, classes) },
		})
	}
	out = append(out, wideResNetOf(16, 2), wideResNetOf(28, 10))
	for _, tensorFlow := range []bool{false, true} {
		for _, quarters := range widths() {
			name, summary := widthName("mobilenet", quarters), "MobileNet v1 (Howard et al., 2017)"
			if tensorFlow {
				name, summary = name+"-tf", "MobileNet v1 as TensorFlow computes it, for its weights"
			}
			out = append(out, Architecture{
				Name: name, Summary: summary, Input: imageNet,
				build: func(in Shape, classes int) (*Network, error) {
					return mobileNet(name, quarters, tensorFlow, in, classes)
				},
			})
		}
	}
	for _, quarters := range widths() {
		name := widthName("inception", quarters)
		out = append(out, Architecture{
			Name: name, Summary: "Inception v1 with batch norm (Szegedy et al., 2015)", Input: imageNet,
			build: func(in Shape, classes int) (*Network, error) { return inception(name, quarters, in, classes) },
		})
	}
	for _, percent := range []int{35, 50, 100, 140} {
		name := "mobilenetv2"
		if percent != 100 {
			name = fmt.Sprintf("mobilenetv2-%g", float64(percent)/100)
		}
		out = append(out, Architecture{
			Name: name, Summary: "MobileNet v2 (Sandler et al., 2018)", Input: imageNet,
			build: func(in Shape, classes int) (*Network, error) { return mobileNetV2(name, percent, in, classes) },
		})
	}
	for _, quarters := range widths() {
		name := widthName("osnet", quarters)
		out = append(out, Architecture{
			Name: name, Summary: "OSNet, made for re-identification (Zhou et al., 2019)", Input: Shape{C: 3, H: 256, W: 128},
			build: func(in Shape, classes int) (*Network, error) { return osNet(name, quarters, in, classes) },
		})
	}
	for _, depth := range []int{18, 34, 50} {
		for _, lastStride := range []int{2, 1} {
			name, summary := fmt.Sprintf("resnet%d", depth), "ImageNet ResNet (He et al., 2016)"
			if lastStride == 1 {
				name, summary = name+"-ls1", summary+" whose last stage has stride 1"
			}
			out = append(out, Architecture{
				Name: name, Summary: summary, Input: imageNet,
				build: func(in Shape, classes int) (*Network, error) {
					return imageNetResNet(name, depth, lastStride, in, classes)
				},
			})
		}
	}
	return out
}

// widths returns the width multipliers of the architectures that have any, in
// quarters.
func widths() []int { return []int{1, 2, 3, 4} }

// widthName adds the width multiplier to a name; full width is not written.
func widthName(name string, quarters int) string {
	if quarters == 4 {
		return name
	}
	return fmt.Sprintf("%s%g", name, float64(quarters)/4)
}

// Lookup finds an architecture of the toolkit by name: one that Catalog lists,
// or any wide ResNet, wrn-DEPTH-WIDTH. The error wraps ErrUnknown and lists
// the names there are.
func Lookup(name string) (Architecture, error) {
	if a, is, err := lookupWideResNet(name); is {
		return a, err
	}
	var names []string
	for _, a := range Catalog() {
		if a.Name == name {
			return a, nil
		}
		names = append(names, a.Name)
	}
	return Architecture{}, fmt.Errorf("%w %q: choose one of %s, another wrn-DEPTH-WIDTH, or give the path of a %s file",
		ErrUnknown, name, strings.Join(names, ", "), fileSuffix)
}

// Build makes the architecture that Find finds for an input shape and a number
// of classes.
func Build(arch string, input Shape, classes int) (*Network, error) {
	a, err := Find(arch)
	if err != nil {
		return nil, err
	}
	return a.Build(input, classes)
}
