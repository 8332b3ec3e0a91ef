package state

import "golang.org/x/sys/unix"

// niceLevel is the nice value (sched(7)) of the thread that loads a large list.
const niceLevel = 10

// lowerPriority lowers the priority of this thread, and reports whether the thread has to end when its work is done.
func lowerPriority() bool {
	if unix.Gettid() == unix.Getpid() {
		return false
	}
	_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), niceLevel) // if it fails, the priority stays
	return true
}
