//go:build !race

package stresstest

const raceEnabled = false
