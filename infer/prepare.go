package infer

import (
	"fmt"
	"math"

	"github.com/deepmutual/dml/internal/onnx/onnxmeta"
	"github.com/deepmutual/dml/internal/pixels"
)

// preparation is how images become input samples.
type preparation struct {
	channels, height, width int
	filter                  pixels.Filter
	crop                    float64
	mean, std               string // of the values, to compare
	bgr, interleaved, raw   bool
}

// preparer turns images into input samples.
type preparer struct {
	preparation
	norm *pixels.Normalizer // nil where the samples are 8-bit
}

// newPreparer prepares as a model's metadata says; uint8 inputs take the
// pixels as they are.
func newPreparer(meta onnxmeta.Metadata, uint8Input bool) (*preparer, error) {
	p := preparation{channels: meta.Channels, height: meta.Height, width: meta.Width, interleaved: uint8Input, raw: uint8Input}
	return p.with(pixels.Norm{Mean: meta.Mean, Std: meta.Std})
}

// presetPreparer prepares as a preset says, for a model with the given input.
func presetPreparer(preset Preset, in TensorInfo) (*preparer, error) {
	if len(in.Dims) != 4 {
		return nil, fmt.Errorf("%w: its input has the shape %v, a preset is for images", ErrUnsupported, in.Dims)
	}
	p := preparation{crop: preset.Crop, bgr: preset.ChannelOrder == "bgr", interleaved: preset.Layout == "nhwc" || in.Uint8, raw: in.Uint8}
	p.channels, p.height, p.width = int(in.Dims[1]), int(in.Dims[2]), int(in.Dims[3])
	if p.interleaved {
		p.height, p.width, p.channels = int(in.Dims[1]), int(in.Dims[2]), int(in.Dims[3])
	}
	switch preset.Interpolation {
	case "bicubic":
		p.filter = pixels.Bicubic
	case "nearest":
		p.filter = pixels.Nearest
	}
	if p.channels != preset.channels() {
		return nil, fmt.Errorf("%w: its input %v has %d channels, the preset %d; its layout may be another", ErrUnsupported, in.Dims, p.channels, preset.channels())
	}
	if preset.Height > 0 && preset.Height != p.height || preset.Width > 0 && preset.Width != p.width {
		return nil, fmt.Errorf("%w: its images are %dx%d, the preset's %dx%d", ErrUnsupported, p.width, p.height, preset.Width, preset.Height)
	}
	if p.raw && len(preset.Mean)+len(preset.Std) > 0 {
		return nil, fmt.Errorf("%w: its input takes 8-bit pixels, which cannot be normalised as the preset says", ErrUnsupported)
	}
	return p.with(pixels.Norm{Mean: preset.Mean, Std: preset.Std})
}

// with adds the normalisation.
func (p preparation) with(norm pixels.Norm) (*preparer, error) {
	out := &preparer{preparation: p}
	if p.raw {
		return out, nil
	}
	out.mean, out.std = fmt.Sprint(norm.Mean), fmt.Sprint(norm.Std)
	var err error
	if out.norm, err = pixels.NewNormalizer(norm, p.channels); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	return out, nil
}

// workspace is the memory in which one goroutine prepares images.
type workspace struct {
	resizer pixels.Resizer
	scaled  []uint8
	cropped []uint8
}

// sample writes the image to dst, one sample.
func (p *preparer) sample(w *workspace, dst Input, img pixels.Image) error {
	img, err := p.fit(w, pixels.Convert(img, p.channels))
	if err != nil {
		return err
	}
	if p.bgr {
		for i := 0; i+2 < len(img.Pix); i += 3 {
			img.Pix[i], img.Pix[i+2] = img.Pix[i+2], img.Pix[i]
		}
	}
	return p.store(dst, img)
}

// store writes pixels of the right size to dst.
func (p *preparer) store(dst Input, img pixels.Image) error {
	switch {
	case p.raw:
		copy(dst.Uint8, img.Pix)
		return nil
	case p.interleaved:
		return p.norm.ApplyInterleaved(dst.Float32, img)
	}
	return p.norm.Apply(dst.Float32, img)
}

// fit scales the image to the input's size, or its middle.
func (p *preparer) fit(w *workspace, img pixels.Image) (pixels.Image, error) {
	w.resizer.Filter = p.filter
	if p.crop == 0 {
		if img.Width == p.width && img.Height == p.height {
			return img, nil
		}
		out := w.resizer.Crop(w.scaled, img, img.Bounds(), p.width, p.height)
		w.scaled = out.Pix
		return out, nil
	}
	// As torchvision's Resize of the shorter side, then CenterCrop: the scaled
	// image is cut, not the original, so that the filter sees beyond the cut.
	width, height := p.scaledSize(img.Width, img.Height)
	if tooLarge(width, height) {
		return img, fmt.Errorf("%w: %dx%d pixels: too narrow for a central crop of %dx%d", ErrImage, img.Width, img.Height, p.width, p.height)
	}
	scaled := w.resizer.Crop(w.scaled, img, img.Bounds(), width, height)
	w.scaled = scaled.Pix
	part := pixels.Rect{X: centre(width, p.width), Y: centre(height, p.height), Width: p.width, Height: p.height}
	out := w.resizer.Crop(w.cropped, scaled, part, p.width, p.height)
	w.cropped = out.Pix
	return out, nil
}

// scaledSize is the size to which an image is scaled before its middle is cut
// out: its aspect kept, just covering the input divided by the crop.
func (p *preparer) scaledSize(width, height int) (int, int) {
	needWidth, needHeight := math.Round(float64(p.width)/p.crop), math.Round(float64(p.height)/p.crop)
	scale := max(needWidth/float64(width), needHeight/float64(height))
	const slack = 1e-6 // of rounding, so that a needed size is met
	return int(float64(width)*scale + slack), int(float64(height)*scale + slack)
}

// centre is where a part begins in the middle of a whole, rounded as Python
// does, half to even.
func centre(whole, part int) int { return int(math.RoundToEven(float64(whole-part) / 2)) }
