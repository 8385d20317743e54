package train

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/deepmutual/dml/models"
)

// Config describes a training run. It is kept in the run folder as
// config.yaml. The zero value of a field means the default that its comment
// names; WithDefaults writes it out.
type Config struct {
	Name    string        `yaml:"name"` // of the run; default: mode and students
	Data    DataConfig    `yaml:"data"`
	Mode    Mode          `yaml:"mode"`  // default dml
	Order   Order         `yaml:"order"` // of updates; default simultaneous
	Views   Views         `yaml:"views"` // default shared
	Mimicry MimicryConfig `yaml:"mimicry,omitempty"`
	Teacher TeacherConfig `yaml:"teacher,omitempty"` // of mode distill
	// LabelSmoothing is the part of each label that is spread over all classes;
	// 0 means none.
	LabelSmoothing float64         `yaml:"label_smoothing,omitempty"`
	Students       []StudentConfig `yaml:"students"`
	Epochs         int             `yaml:"epochs"` // default 20
	Batch          int             `yaml:"batch"`  // default 64
	// Seed decides splits, order, augmentation, initial weights and dropout.
	Seed      uint64          `yaml:"seed"` // default 1
	Optimizer OptimizerConfig `yaml:"optimizer"`
	Schedule  ScheduleConfig  `yaml:"schedule"`
	Augment   AugmentConfig   `yaml:"augment"`
	Stop      StopConfig      `yaml:"stop,omitempty"`
	// Threads of all students together; default: GOMAXPROCS, the processor's
	// cores. The same number, on the same backend, gives the same bits.
	Threads    int  `yaml:"threads,omitempty"`
	NoWinograd bool `yaml:"no_winograd,omitempty"`
	// BFloat16 lets the convolutions of training round what they multiply to 8
	// significant bits, on processors that are faster so. Weights, sums and
	// evaluation stay float32.
	BFloat16 bool   `yaml:"bfloat16,omitempty"`
	Backend  string `yaml:"backend,omitempty"` // onednn or ref; default: onednn where it is found
}

// StudentConfig describes one student.
type StudentConfig struct {
	Name string `yaml:"name"` // default: architecture and number, as in resnet20-1
	// Arch is an architecture by name, or the path of a .json file that
	// describes one; see models.Find.
	Arch string `yaml:"arch"`
	// Network is an architecture of one's own, made for the images and classes
	// of the data, in place of Arch.
	Network *models.Network `yaml:"-"`
	// Seed of the initial weights; default: from the run's seed and the
	// student's number, so that equal architectures start apart.
	Seed uint64 `yaml:"seed,omitempty"`
	// Init is a file, or the folder of a run or of a student in one, that the
	// initial weights come from; package run/warmstart reads it and gives
	// them to the session. InitSHA256 is that of the file, in hexadecimal: a
	// run keeps it, and where it is given another file is refused.
	Init       string `yaml:"init,omitempty"`
	InitSHA256 string `yaml:"init_sha256,omitempty"`
	// Optimizer and Schedule of this student alone, whole, with defaults of
	// their own; nil means the run's.
	Optimizer *OptimizerConfig `yaml:"optimizer,omitempty"`
	Schedule  *ScheduleConfig  `yaml:"schedule,omitempty"`
}

// WithDefaults returns the configuration with every default written out.
func (c Config) WithDefaults() Config {
	setDefault(&c.Mode, ModeDML)
	setDefault(&c.Order, OrderSimultaneous)
	setDefault(&c.Views, ViewsShared)
	c.Mimicry = c.Mimicry.withDefaults(c.Mode)
	setDefault(&c.Epochs, 20)
	setDefault(&c.Batch, 64)
	setDefault(&c.Seed, 1)
	c.Data = c.Data.withDefaults()
	c.Optimizer = c.Optimizer.withDefaults()
	c.Schedule = c.Schedule.withDefaults(c.Epochs)
	c.Augment = c.Augment.withDefaults()
	c.Students = slices.Clone(c.Students)
	count := make(map[string]int)
	for i := range c.Students {
		s := &c.Students[i]
		if s.Network != nil {
			setDefault(&s.Arch, goArch+s.Network.Name)
		}
		arch := s.architecture()
		count[arch]++
		setDefault(&s.Name, fmt.Sprintf("%s-%d", arch, count[arch]))
		setDefault(&s.Seed, c.Seed*1000+uint64(i)+1)
		if s.Optimizer != nil {
			s.Optimizer = new(s.Optimizer.withDefaults())
		}
		if s.Schedule != nil {
			s.Schedule = new(s.Schedule.withDefaults(c.Epochs))
		}
	}
	if c.Name == "" {
		parts := []string{string(c.Mode)}
		for _, s := range c.Students {
			parts = append(parts, s.architecture())
		}
		c.Name = strings.Join(parts, "-")
	}
	return c
}

func setDefault[T comparable](v *T, to T) {
	var zero T
	if *v == zero {
		*v = to
	}
}

// Validate reports every fault of a configuration whose defaults are written
// out, joined. Each names its key.
func (c Config) Validate() error {
	var faults []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	check(validName(c.Name), "name: %q cannot be a folder name", c.Name)
	check(len(c.Students) > 0, "students: none given")
	faults = append(faults, c.modeFaults()...)
	names := make(map[string]bool)
	for i, s := range c.Students {
		at := fmt.Sprintf("students[%d]", i)
		check(validStudentName(s.Name), "%s.name: %q cannot be the name of a student's folder in a run", at, s.Name)
		check(!names[s.Name], "%s.name: %q is used twice", at, s.Name)
		names[s.Name] = true
		err := s.archFault()
		check(err == nil, "%s.arch: %w", at, err)
		faults = append(faults, s.initFaults(at)...)
		if s.Optimizer != nil {
			faults = append(faults, s.Optimizer.validate(at+".optimizer")...)
		}
		if s.Schedule != nil {
			faults = append(faults, s.Schedule.validate(at+".schedule")...)
		}
	}
	check(c.Epochs > 0, "epochs: %d is not positive", c.Epochs)
	check(c.Batch > 1, "batch: %d is too small; batch normalisation needs at least 2", c.Batch)
	faults = append(faults, c.Optimizer.validate("optimizer")...)
	faults = append(faults, c.Schedule.validate("schedule")...)
	faults = append(faults, c.Stop.validate()...)
	check(c.Threads >= 0 && c.Threads <= MaxThreads, "threads: %d is not between 0 (all cores) and %d", c.Threads, MaxThreads)
	check(c.Backend == "" || c.Backend == "onednn" || c.Backend == "ref", "backend: %q is unknown; use onednn or ref", c.Backend)
	return errors.Join(slices.Concat(faults, c.Data.faults(), c.Augment.faults())...)
}

// Bounds of what a run may ask for: mistakes past them would exhaust the
// machine before they could be told.
const (
	MaxThreads = 4096
	maxSide    = 4096    // pixels
	maxCache   = 1 << 24 // MiB
)

// validName reports whether a name is one plain path element.
func validName(name string) bool {
	return name != "" && name != "." && name != ".." && len(name) <= 200 && utf8.ValidString(name) &&
		name == filepath.Base(name) && !strings.ContainsAny(name, `/\:`) && !strings.ContainsFunc(name, unicode.IsControl)
}

// validStudentName is a name that no other file of a run folder has.
func validStudentName(name string) bool {
	return validName(name) && !strings.HasPrefix(name, ".") && !strings.Contains(name, ".json") &&
		!slices.Contains([]string{"config.yaml", "results.csv", "reference.ckpt", "onnx", "lock", "ensemble"}, name)
}
