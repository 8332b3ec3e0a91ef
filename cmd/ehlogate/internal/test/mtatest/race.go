//go:build race

package mtatest

// RaceEnabled reports whether the tests run with the race detector, with which they then build the daemon, too.
const RaceEnabled = true
