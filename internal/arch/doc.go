// Package arch holds the test that keeps the packages' imports as the table in
// ARCHITECTURE.md allows them.
package arch
