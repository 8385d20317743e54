// Package arch holds the test that keeps the packages' imports as
// ARCHITECTURE.md describes them.
package arch
