package infer

import "slices"

// Info describes what a Model runs. Where a network carries no metadata, the
// texts that come from it are empty, and the lists are those of the preset.
type Info struct {
	Path         string `json:"path"`         // file, or "" for a model from bytes, or of several
	Architecture string `json:"architecture"` // of several networks: theirs, joined by "+"
	Students     int    `json:"students"`     // number of students; 1 where it is not a cohort
	Channels     int    `json:"channels"`     // of an input sample
	Height       int    `json:"height"`       // of an input sample; 0 where it is not an image
	Width        int    `json:"width"`        // likewise
	Batch        int    `json:"batch"`        // samples in a batch of the network; 0 means any number
	Features     int    `json:"features"`     // length of an embedding; 0 where there is none or it is not fixed
	// StudentNames are those of a file that holds a cohort; of several networks,
	// their architectures where they are single students.
	StudentNames      []string  `json:"student_names"`
	Classes           []string  `json:"classes"`
	Mean              []float32 `json:"mean"` // (x/255 - Mean) / Std
	Std               []float32 `json:"std"`
	Dataset           string    `json:"dataset"`
	Mode              string    `json:"mode"` // of training
	Toolkit           string    `json:"toolkit"`
	Outputs           []string  `json:"outputs"`             // all float32 outputs of the file; nil of several
	Foreign           bool      `json:"foreign"`             // without our metadata: raw tensors only, or a preset
	Images            bool      `json:"images"`              // takes images: metadata or a preset says how to prepare them
	Uint8             bool      `json:"uint8"`               // the network takes 8-bit pixels: RunPixels instead of Run
	NormalisedInGraph bool      `json:"normalised_in_graph"` // by the network itself, with Mean and Std
	Runtime           string    `json:"runtime"`             // version of ONNX Runtime's library
}

func (i Info) clone() Info {
	i.Classes, i.Mean, i.Std = slices.Clone(i.Classes), slices.Clone(i.Mean), slices.Clone(i.Std)
	i.StudentNames, i.Outputs = slices.Clone(i.StudentNames), slices.Clone(i.Outputs)
	return i
}

// sampleSize is the number of values of one input sample.
func (i *Info) sampleSize() int { return i.Channels * max(1, i.Height) * max(1, i.Width) }
