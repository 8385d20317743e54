//go:build !cgo

package main

import "github.com/deepmutual/dml/infer"

func serveBare(string, Work, *orders) error { return infer.ErrNoRuntime }
