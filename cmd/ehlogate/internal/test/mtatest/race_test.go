//go:build race

package mtatest_test

// raceEnabled: the tests run under the race detector, so the daemon does too.
const raceEnabled = true
