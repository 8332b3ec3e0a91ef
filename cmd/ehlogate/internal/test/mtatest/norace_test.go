//go:build !race

package mtatest_test

const raceEnabled = false
