package train

// Mode says what the students of a cohort learn from.
type Mode string

const (
	// ModeDML is deep mutual learning: each student learns from the labels
	// and from the posteriors of all others.
	ModeDML Mode = "dml"
	// ModeDMLEnsemble is deep mutual learning in which each student learns
	// from the mean of the others' posteriors. With two students it is
	// ModeDML.
	ModeDMLEnsemble Mode = "dml_e"
	// ModeDistill is knowledge distillation: each student learns from the
	// labels and from the posteriors of a trained, constant [Teacher].
	ModeDistill Mode = "distill"
	// ModeIndependent trains each student from the labels alone, on the same
	// mini-batches.
	ModeIndependent Mode = "independent"
)

// Modes lists the modes.
func Modes() []Mode { return []Mode{ModeDML, ModeDMLEnsemble, ModeDistill, ModeIndependent} }

// mutual reports whether students learn from each other.
func (m Mode) mutual() bool { return m == ModeDML || m == ModeDMLEnsemble }

// targets is how many posteriors each of so many students mimics.
func (m Mode) targets(students int) int {
	switch m {
	case ModeDML:
		return students - 1
	case ModeDMLEnsemble, ModeDistill:
		return 1
	}
	return 0
}

// Order says when the students of a step are updated.
type Order string

const (
	// OrderSimultaneous computes all posteriors, then updates all students.
	OrderSimultaneous Order = "simultaneous"
	// OrderSequential updates one student after another and computes each one's
	// posteriors of the mini-batch anew after its update, as Algorithm 1 of the
	// paper does.
	OrderSequential Order = "sequential"
)

// Views says whether students see the same augmentation of an image.
type Views string

const (
	// ViewsShared gives all students the same augmented images, as the paper
	// does.
	ViewsShared Views = "shared"
	// ViewsPerStudent augments each image once for each student. A posterior is
	// then that of its student's own view of the image, and a teacher looks at
	// each student's view.
	ViewsPerStudent Views = "per_student"
)
