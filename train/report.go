package train

// Events are called as a run goes on, from the goroutine that called Run. Nil
// fields are skipped.
type Events struct {
	Step  func(StepReport)
	Epoch func(EpochReport)
}

// StepReport says how far an epoch is. The slice belongs to the session and is
// valid until the call returns.
type StepReport struct {
	Epoch, Epochs   int // from 1
	Step, Steps     int // of the epoch, from 1
	Students        []StudentStep
	ImagesPerSecond float64 // each image counted once, however many students
}

// StudentStep holds a student's means over the epoch so far; losses are in nats.
type StudentStep struct {
	Name                        string
	Loss, CrossEntropy, Mimicry float64
	Accuracy                    float64 // on the training mini-batches
}

// EpochReport sums up an epoch.
type EpochReport struct {
	Epoch           int            `json:"epoch"`          // from 1
	Step            int            `json:"step"`           // steps of the whole run so far
	MimicryWeight   float64        `json:"mimicry_weight"` // of the epoch's last step
	Students        []StudentEpoch `json:"students"`
	Ensemble        Scores         `json:"ensemble"` // on validation
	Seconds         float64        `json:"seconds"`
	ImagesPerSecond float64        `json:"images_per_second"` // of training
}

// StudentEpoch holds a student's means over an epoch; losses are in nats. Mimicry
// is the mimicry loss before its weight.
type StudentEpoch struct {
	Name          string  `json:"name"`
	LearningRate  float64 `json:"learning_rate"` // of the epoch's last step
	Loss          float64 `json:"loss"`
	CrossEntropy  float64 `json:"cross_entropy"`
	Mimicry       float64 `json:"mimicry"`
	TrainAccuracy float64 `json:"train_accuracy"`
	Validation    Scores  `json:"validation"`
	Best          bool    `json:"best"` // the best so far, by Scores.Better
}

// Summary is the result of a run.
type Summary struct {
	// Stopped says why the run ended early, with its state saved; empty if it
	// did not.
	Stopped  StopReason
	Epoch    int // finished epochs
	Step     int // finished steps of the whole run
	Students []StudentSummary
	Ensemble Scores // of the last epoch, on validation
}

// StudentSummary is one student's result, on validation.
type StudentSummary struct {
	Name, Arch string
	Parameters int
	BestEpoch  int
	Best, Last Scores
}

// Store keeps the states of a training; a *run.Run is one.
type Store interface {
	// Save replaces the newest state of all students together, and the best
	// state of those that [State.IsBest] names.
	Save([]State) error
	// Epoch records the report of a finished epoch.
	Epoch(EpochReport) error
}
