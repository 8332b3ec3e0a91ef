//go:build race

package stresstest

// raceEnabled: the tests run under the race detector, so the daemon does too.
const raceEnabled = true
