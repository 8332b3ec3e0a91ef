package engine

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// patience is the nice value (sched(7)) of a thread that loads lists.
const patience = 10

// aside runs f and returns when it is done. Meanwhile those who answer come
// first: a list of a million lines is a third of a second of work, for which
// nobody should wait who asks about another client.
func aside(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		// The thread cannot become what it was, which would take a privilege;
		// with a goroutine that never unlocks it, it ends.
		runtime.LockOSThread()
		_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), patience) // at worst it is not niced
		f()
	}()
	<-done
}
