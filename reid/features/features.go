// Package features makes, keeps and loads features of people's images for
// re-identification.
//
// To make a folder of features, OpenImages lists the images, package embedder opens
// the models, and Extract does the work. To use features, Load takes them from any
// of three places, which a Source names: a folder that Extract made, bare NumPy
// files with labels as CSV, or images, of which an Embedder makes them there and
// then. It returns a Set, whose parts are what reid.Evaluate, reid.Rank and
// reid.Calibrate take, and by SetPart.Entries what a gallery takes.
//
// A folder of features has the files
//
//	DIR/query.npy, gallery.npy, multi_query.npy   float32, a row an image
//	DIR/query.csv, gallery.csv, multi_query.csv   name,pid,camid[,track,time]
//	DIR/images.csv                                sizes and times of the images
//	DIR/features.json                             how they were made: a Manifest
//
// which appear when all is done, features.json last. Until then the work lies in
// DIR/.partial, batch by batch, and an extraction that was interrupted, however
// hard, goes on after the last whole batch. Its files are equal, bit by bit, to
// those of one that was not, because the batches are the same.
//
// A file that was changed, re-sorted labels included, is refused by its checksum in
// features.json (ErrChecksum), by Load and by Extract.
//
// A Recipe is how features were made, and its Fingerprint identifies them: sets of
// different fingerprints are not compared. A Threshold tells one person from two
// by the distance of features of one fingerprint.
//
// The NumPy format is read here, not by a library: the one at hand panics on
// damaged headers, allocates what a header claims, and writes no float32
// matrices.
package features
