//go:build !race

package mtatest_test

const mtatest.RaceEnabled = false
