package main

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/deepmutual/dml/export"
	"github.com/deepmutual/dml/internal/onnx/onnxpb"
	"github.com/deepmutual/dml/models"
	"github.com/deepmutual/dml/reid/features"
)

// digit draws a 12x12 image of class 0 (left half bright), 1 (right half) or 2
// (upper half), with some variation.
func digit(class, variant int) []byte {
	pix := make([]byte, 12*12)
	for y := range 12 {
		for x := range 12 {
			bright := class == 0 && x < 6 || class == 1 && x >= 6 || class == 2 && y < 6
			v := (x*31 + y*17 + variant*29) % 60
			if bright {
				v += 150
			}
			pix[y*12+x] = byte(v)
		}
	}
	return pix
}

// writeIDX writes a gzipped IDX file of bytes.
func writeIDX(path string, dims []int, data []byte) error {
	buf := binary.BigEndian.AppendUint32(nil, uint32(0x800+len(dims)))
	for _, d := range dims {
		buf = binary.BigEndian.AppendUint32(buf, uint32(d))
	}
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write(append(buf, data...)); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return write(path, out.Bytes())
}

// writeDigits writes MNIST files with train and test images of three classes.
func writeDigits(dir string, train, test int) error {
	for _, part := range []struct {
		prefix string
		n      int
	}{{"train", train}, {"t10k", test}} {
		var pix, labels []byte
		for i := range part.n {
			pix = append(pix, digit(i%3, i)...)
			labels = append(labels, byte(i%3))
		}
		if err := writeIDX(filepath.Join(dir, part.prefix+"-images-idx3-ubyte.gz"), []int{part.n, 12, 12}, pix); err != nil {
			return err
		}
		if err := writeIDX(filepath.Join(dir, part.prefix+"-labels-idx1-ubyte.gz"), []int{part.n}, labels); err != nil {
			return err
		}
	}
	return nil
}

// digits is writeDigits into a folder of the test.
func digits(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := writeDigits(dir, 60, 12); err != nil {
		t.Fatal(err)
	}
	return dir
}

// writePicture writes digit as a PNG file.
func writePicture(path string, class int) error {
	img := image.NewGray(image.Rect(0, 0, 12, 12))
	copy(img.Pix, digit(class, 1))
	return writePNG(path, img)
}

func writePNG(path string, img image.Image) error {
	var buf bytes.Buffer
	if err := png.Encode(&buf, img); err != nil {
		return err
	}
	return write(path, buf.Bytes())
}

// writeFolder writes so many pictures of each class, in a folder with its name.
func writeFolder(dir string, n int, classes ...string) error {
	for class, name := range classes {
		for i := range n {
			if err := writePicture(filepath.Join(dir, name, fmt.Sprintf("%02d.png", i)), class); err != nil {
				return err
			}
		}
	}
	return nil
}

// writePeople draws people in Market-1501's layout: the clothes tell them apart,
// the light tells the cameras apart. Numbers 1 to 4 are trained on, 5 to 8 are
// looked for; the gallery has junk and a distractor.
func writePeople(dir string) error {
	var failed error
	draw := func(folder, pid string, identity, camera, shot int) {
		img := image.NewNRGBA(image.Rect(0, 0, 8, 16))
		for y := range 16 {
			for x := range 8 {
				part := identity // of the colours: upper and lower half
				if y >= 8 {
					part = identity * 3
				}
				v := func(k int) uint8 { return uint8(min(255, (part*(k*37+53)%200)+camera*15+(x*7+y*5+shot*11)%13)) }
				img.SetNRGBA(x, y, color.NRGBA{v(1), v(2), v(3), 255})
			}
		}
		name := fmt.Sprintf("%s_c%ds1_%06d_%02d.png", pid, camera, shot, identity)
		if err := writePNG(filepath.Join(dir, folder, name), img); err != nil {
			failed = err
		}
	}
	for identity := 1; identity <= 8; identity++ {
		pid := fmt.Sprintf("%04d", identity)
		for camera := 1; camera <= 3; camera++ {
			for shot := range 3 {
				switch {
				case identity <= 4:
					draw("bounding_box_train", pid, identity, camera, shot)
				case shot == 0:
					draw("query", pid, identity, camera, shot)
				default:
					draw("bounding_box_test", pid, identity, camera, shot)
				}
				if identity > 4 {
					draw("gt_bbox", pid, identity, camera, shot)
				}
			}
		}
	}
	draw("bounding_box_test", "-1", 9, 1, 7)
	draw("bounding_box_test", "0000", 11, 2, 7)
	return failed
}

// writeVectors writes features of 12 people by 3 cameras, who are found in part:
// bare .npy files with a CSV file of labels each.
func writeVectors(dir string) error {
	for _, part := range []string{"query", "gallery"} {
		m := features.Matrix{Dim: 3}
		labels := "name,pid,camid\n"
		if part == "gallery" {
			labels = "path,pid,camid,split\njunk.jpg,-1,1,\ndistractor.jpg,0,2,\n"
			m.Data = append(m.Data, 1, 0, 0, 0, 1, 0)
		}
		for i := range 36 {
			if (i%3 == 0) == (part == "query") {
				angle := float64(i) / 36 * 2 * math.Pi * float64(1+i%2)
				m.Data = append(m.Data, float32(math.Cos(angle)), float32(math.Sin(angle)), .5)
				labels += fmt.Sprintf("%s %d.jpg,%d,%d%s\n", part, i, 1+i/3, 1+i%3, map[bool]string{true: ",test"}[part == "gallery"])
			}
		}
		m.Rows = len(m.Data) / m.Dim
		if err := write(filepath.Join(dir, part+".csv"), []byte(labels)); err != nil {
			return err
		}
		if err := features.WriteNPY(filepath.Join(dir, part+".npy"), m); err != nil {
			return err
		}
	}
	return nil
}

// writeFeatures writes a folder of features as if a model of that checksum had
// made it: of four images of the gallery, and a query.
func writeFeatures(dir, sum string) error {
	m := features.Manifest{
		Recipe: features.Recipe{
			Models: []features.Model{{File: "m.onnx", SHA256: strings.Repeat(sum, 64)}}, Normalisation: features.L2, Dim: 2,
			Preprocessing: features.Preprocessing{Height: 16, Width: 8, Interpolation: "bilinear", ChannelOrder: "rgb", Layout: "nchw"},
		},
		Parts: []features.Part{{Name: features.Query, Images: 1, Rows: 1}, {Name: features.Gallery, Images: 4, Rows: 4}},
	}
	for part, labels := range map[string]string{
		features.Query:   "name,pid,camid\nq.jpg,,\n",
		features.Gallery: "name,pid,camid,track,time\na.jpg,1,1,t,2026-05-01\nb.jpg,1,2,,2026-05-02T10:00:00Z\nc.jpg,,2,,60\nd.jpg,3,,,\n",
	} {
		if err := write(filepath.Join(dir, part+".csv"), []byte(labels)); err != nil {
			return err
		}
	}
	for part, data := range map[string][]float32{features.Query: {1, 0}, features.Gallery: {0, 1, 1, 0, .8, .6, .6, .8}} {
		if err := features.WriteNPY(filepath.Join(dir, part+".npy"), features.Matrix{Data: data, Rows: len(data) / 2, Dim: 2}); err != nil {
			return err
		}
	}
	return features.WriteManifest(dir, m)
}

// writeThirdParty writes an untrained network as another program would, without
// metadata, and as this one does; another of these, one with weights that are
// NaN, and a picture.
func writeThirdParty(dir string) error {
	net, err := models.Build("convnet", models.Shape{C: 3, H: 16, W: 16}, 3)
	if err != nil {
		return err
	}
	for seed, name := range []string{"a.onnx", "b.onnx"} {
		w, err := net.Init(uint64(seed))
		if err != nil {
			return err
		}
		data, err := export.Marshal(net, w, export.Options{Classes: []string{"cat", "dog", "emu"}, Mean: []float32{.5, .5, .5}, Std: []float32{.5, .5, .5}})
		if err != nil {
			return err
		}
		if err := write(filepath.Join(dir, name), data); err != nil {
			return err
		}
		var m onnxpb.ModelProto
		if err := proto.Unmarshal(data, &m); err != nil {
			return err
		}
		name := "foreign.onnx"
		if seed == 0 {
			m.MetadataProps = nil
		} else {
			name = "nan.onnx"
			for _, w := range m.Graph.Initializer {
				for i := 0; i+4 <= len(w.RawData); i += 4 {
					copy(w.RawData[i:], []byte{0, 0, 0xc0, 0x7f})
				}
			}
		}
		if data, err = proto.Marshal(&m); err != nil {
			return err
		}
		if err := write(filepath.Join(dir, name), data); err != nil {
			return err
		}
	}
	img := image.NewNRGBA(image.Rect(0, 0, 40, 30))
	for i := range img.Pix {
		img.Pix[i] = uint8(i) | uint8(i%4/3*255)
	}
	return writePNG(filepath.Join(dir, "cat.png"), img)
}
