package train

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/deepmutual/dml/models"
)

// goArch marks, in a configuration, an architecture that a Go program has given
// as StudentConfig.Network. Such a run can be evaluated and exported by anyone,
// since checkpoints hold the network; that program alone can continue it.
const goArch = "go:"

// architecture is the short name of the student's network.
func (s StudentConfig) architecture() string {
	return strings.TrimPrefix(models.NameOf(s.Arch), goArch)
}

// archFault reports what is wrong with the architecture. A file is not looked
// at: a finished run does not need it any more.
func (s StudentConfig) archFault() error {
	switch {
	case s.Network != nil && s.Arch != goArch+s.Network.Name:
		return fmt.Errorf("%q is given beside a network of one's own, %q: leave it out", s.Arch, s.Network.Name)
	case s.Network != nil:
		return s.Network.Validate()
	case models.IsFile(s.Arch) && !utf8.ValidString(s.Arch):
		return fmt.Errorf("%q is not valid UTF-8, which a configuration file cannot hold; rename or link it", s.Arch)
	case models.IsFile(s.Arch), strings.HasPrefix(s.Arch, goArch):
		return nil
	}
	_, err := models.Lookup(s.Arch)
	return err
}

// build makes the student's network for images and classes.
func (s StudentConfig) build(input models.Shape, classes int) (*models.Network, error) {
	if s.Network == nil {
		if strings.HasPrefix(s.Arch, goArch) {
			return nil, fmt.Errorf("student %q: the architecture %s is made by a Go program, which must give it as StudentConfig.Network", s.Name, s.Arch)
		}
		return models.Build(s.Arch, input, classes)
	}
	if s.Network.Input != input || s.Network.Classes != classes {
		return nil, fmt.Errorf("student %q: its network %q is for inputs %v and %d classes, the data has %v and %d",
			s.Name, s.Network.Name, s.Network.Input, s.Network.Classes, input, classes)
	}
	return s.Network, nil
}
