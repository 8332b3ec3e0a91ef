//go:build !race

package testenv

// Race reports whether the tests run with the race detector.
const Race = false
