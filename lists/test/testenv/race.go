//go:build race

package testenv

// Race reports whether the tests run with the race detector, with which they then build the daemon, too.
const Race = true
