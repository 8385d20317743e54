package reid

// Protocols of a Result.
const (
	SingleQuery = "single_query"
	MultiQuery  = "multi_query"
)

// Result of an evaluation.
type Result struct {
	Protocol string `json:"protocol"` // SingleQuery or MultiQuery
	// Pooling names the images that MultiQuery took the mean of: that of
	// Options.Pool, or "query and gallery".
	Pooling string `json:"pooling,omitempty"`
	Metric  Metric `json:"metric"` // "" for distances that were computed elsewhere
	// Expand is Options.Expand.
	Expand int `json:"expand,omitempty"`

	Queries        int `json:"queries"`
	ValidQueries   int `json:"valid_queries"`
	SkippedQueries int `json:"skipped_queries"` // without a match
	Gallery        int `json:"gallery"`         // junk and distractors included
	Junk           int `json:"junk"`            // of the gallery, of identity -1
	Distractors    int `json:"distractors"`     // of the gallery

	Scores
	// Rerank is the result after re-ranking, if that was asked for.
	Rerank *Reranked `json:"rerank,omitempty"`
}

// Reranked is the result after re-ranking.
type Reranked struct {
	K1     int     `json:"k1"`
	K2     int     `json:"k2"`
	Lambda float64 `json:"lambda"`
	Top    int     `json:"top,omitempty"`
	Scores
}

// Scores are the metrics of the package's documentation, as fractions of 1.
type Scores struct {
	MAP            float64 `json:"mAP"`
	MAPTrapezoidal float64 `json:"mAP_trapezoidal"`
	MINP           float64 `json:"mINP"`
	// CMC by rank.
	CMC     map[int]float64 `json:"cmc"`
	ROC     []ROCPoint      `json:"roc"`
	Cameras []CameraPair    `json:"cameras"`
	// PerQuery has a result for each query, in their order.
	PerQuery []QueryResult `json:"-"`
}

// ROCPoint is a point of the receiver operating characteristic of telling pairs
// of one person, which are the positives, from pairs of two by their distance.
// The pairs are those of each query of a person with the gallery without junk,
// all pooled; fast-reid pools the same, but its positives are pairs of two.
type ROCPoint struct {
	FPR float64 `json:"fpr"` // the largest fraction of pairs of two people to accept
	TPR float64 `json:"tpr"` // the fraction of pairs of one person then accepted
}

// CameraPair is how well queries of a camera find the images of another one.
// Matches taken by further cameras are taken out of the ranking like junk; wrong
// images of all cameras stay.
type CameraPair struct {
	Query   ID      `json:"query"`   // camera
	Gallery ID      `json:"gallery"` // camera
	Queries int     `json:"queries"` // with a match of that camera
	MAP     float64 `json:"mAP"`     // rectangular, over these queries
}

// QueryResult is the result of a query. Of one that is not valid only Best is
// set. For AP, APTrapezoidal and INP, which is n/r_n, see the package's
// documentation.
type QueryResult struct {
	Valid         bool // it has a match
	Matches       int  // good images in the gallery
	First         int  // rank of the first match, from 1
	AP            float64
	APTrapezoidal float64
	INP           float64
	// Best are the nearest images of the gallery, nearest first, without the
	// query's junk; but see Options.BestSameCamera.
	Best []Match
}

// Match is an image of the gallery that is near a query. Good says whether it is a
// match.
type Match struct {
	Gallery  int     // row of the set, from 0
	Distance float64 // by the metric; in Result.Rerank that of re-ranking
	Good     bool    // it shows the query's person, by another camera
	// SameCamera says that the image shows the query's person but was taken by
	// its own camera, so it takes no rank. See Options.BestSameCamera.
	SameCamera bool
}
