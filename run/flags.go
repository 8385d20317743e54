package run

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// readSize reads HxW.
func readSize(c *Config, values []string) error {
	height, width, _ := strings.Cut(values[0], "x")
	h, errHeight := strconv.Atoi(height)
	w, errWidth := strconv.Atoi(width)
	if errHeight != nil || errWidth != nil {
		return fmt.Errorf("%q is not of the form HxW, as in 32x32", values[0])
	}
	c.Data.Height, c.Data.Width = h, w
	return nil
}

// readStudents reads [NAME=]ARCH, a student each.
func readStudents(c *Config, values []string) error {
	c.Students = nil
	for _, spec := range values {
		s := StudentConfig{Arch: spec}
		if name, arch, named := strings.Cut(spec, "="); named {
			s.Name, s.Arch = name, arch
		}
		c.Students = append(c.Students, s)
	}
	return nil
}

// readInit reads STUDENT=FILE; the students are known by then.
func readInit(c *Config, values []string) error {
	students := c.WithDefaults().Students
	given := make(map[string]bool)
	c.Students = slices.Clone(c.Students)
	for _, spec := range values {
		name, file, ok := strings.Cut(spec, "=")
		if !ok || file == "" {
			return fmt.Errorf("%q is not of the form STUDENT=FILE", spec)
		}
		at := slices.IndexFunc(students, func(s StudentConfig) bool { return s.Name == name })
		if at < 0 {
			var names []string
			for _, s := range students {
				names = append(names, s.Name)
			}
			return fmt.Errorf("there is no student %q; the students are %s", name, strings.Join(names, ", "))
		}
		if given[name] {
			return fmt.Errorf("student %q has two files", name)
		}
		given[name] = true
		c.Students[at].Init, c.Students[at].InitSHA256 = file, ""
	}
	return nil
}
