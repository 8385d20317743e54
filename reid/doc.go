// Package reid re-identifies people by features of their images, vectors of
// which the nearest show the same person. It needs features and labels only;
// what makes them is the caller's (see Embedder).
//
//   - Evaluate scores rankings by the Market-1501 protocol, of queries as they
//     are, pooled or expanded, also after re-ranking; Rank ranks without labels,
//     EvaluateDistances scores distances that were computed elsewhere.
//   - Gallery keeps features on disk, to add to, remove from and search.
//   - Calibrate finds the distance that tells one person from two, and
//     CalibrateSearch that below which a hit of a search counts; Distance compares
//     two images.
//
// To search for people, begin with CreateGallery, OpenGallery and Gallery.Search;
// to evaluate a model, with Evaluate. Package features makes, keeps and loads the
// features of images, package embedder opens the ONNX files that make them.
//
// # Protocol
//
// For a query of identity p and camera c an image of the gallery is
//
//   - good, a match, where it shows p and another camera took it;
//   - junk, where its identity is -1 (Junk), or where it shows p and c took it:
//     it is removed before ranking and takes no rank;
//   - wrong otherwise, which includes distractors, of identity 0 (Distractor).
//
// A query without a match is not valid: it is skipped and counted. Means are
// over the valid queries, as in torchreid and fast-reid; the MATLAB code of the
// data set's authors divides by all queries. Equal distances keep the order of
// the gallery: where rounding to float32 leaves an order open, distances in float64
// decide, so that a ranking does not depend on the Multiplier.
//
// # Metrics
//
// Let r_i be the rank, from 1, of the i-th of a query's n matches.
//
//   - mAP: the mean of AP = 1/n sum i/r_i, the area under the precision-recall
//     curve by rectangles; of torchreid, fast-reid and TransReID.
//   - mAP_trapezoidal: the mean of AP = 1/n sum (i/r_i + o_i)/2, where o_i is 1
//     if r_i is 1, else (i-1)/(r_i-1), the area by trapezoids; of the original
//     evaluation code, hence of the papers that used it.
//   - CMC at k: the fraction of valid queries with r_1 <= k.
//   - mINP: the mean of n/r_n, the inverse negative penalty (Ye et al., "Deep
//     Learning for Person Re-identification", TPAMI 2021).
//   - ROC: see ROCPoint.
//   - camera by camera mAP: see CameraPair.
//
// A multiple query is the mean of the features of all images of the query's
// identity and camera: see Options.MultiQuery.
//
// Sources: Zheng et al., "Scalable Person Re-identification: A Benchmark", ICCV
// 2015, and its evaluation code; Zhong et al., "Re-ranking Person
// Re-identification with k-reciprocal Encoding", CVPR 2017 (see Rerank); Chum
// et al., "Total Recall", ICCV 2007, for average query expansion.
//
// # Galleries
//
// A Gallery is a folder of features of one kind, which a fingerprint names;
// OpenGallery refuses another. Changes are all or nothing and on disk when they
// return. Searches are exact, and run beside changes.
//
// # Cost
//
// In an evaluation, rows of distances are computed by a Multiplier, a block of
// queries at a time, so memory grows with the matches of all queries, not with
// queries times gallery. The rank of a match is counted, not sorted for. Results
// do not depend on the number of workers; on the Multiplier only the ROC does, as
// far as float32 is rounded.
package reid
