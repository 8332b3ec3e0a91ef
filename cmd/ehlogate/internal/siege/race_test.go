//go:build race

package siege

// raceEnabled: the tests run under the race detector, so the daemon does too.
const raceEnabled = true
