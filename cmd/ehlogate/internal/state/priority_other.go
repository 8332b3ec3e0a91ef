//go:build !linux

package state

// lowerPriority does nothing: only Linux has priorities of threads.
func lowerPriority() bool { return false }
