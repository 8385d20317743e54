// Package extract makes folders of re-identification features (see package
// features) of images, by an Embedder:
//
//	DIR/query.npy, gallery.npy, multi_query.npy   float32, a row an image
//	DIR/query.csv, gallery.csv, multi_query.csv   name,pid,camid[,track,time]
//	DIR/features.json                             how they were made
//
// These files appear when all is done, features.json last. Until then the work
// lies in DIR/.partial, batch by batch, and an extraction that was interrupted,
// however hard, goes on after the last whole batch. Its files are equal, bit by
// bit, to those of one that was not, because the batches are the same.
package extract
