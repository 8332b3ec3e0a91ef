//go:build race

package mtatest_test

// mtatest.RaceEnabled: the tests run under the race detector, so the daemon does too.
const mtatest.RaceEnabled = true
