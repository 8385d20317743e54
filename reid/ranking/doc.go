// Package ranking draws rankings to be looked at: queries, and the images of a
// gallery that are nearest to them, each with its distance and framed by whether
// it is right. A page is one HTML file that needs nothing else, no network and
// no scripts, or one PNG file. The same page gives the same bytes.
//
// The package knows nothing of features and protocols: package reid says what
// is near, what is right and what takes a rank.
package ranking
