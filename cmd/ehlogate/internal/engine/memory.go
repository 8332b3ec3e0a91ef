package engine

import (
	"os"
	"runtime"
	"runtime/debug"

	"golang.org/x/sys/unix"
)

// Lists are flat arrays without pointers, for which the garbage collector has
// little to do and about which it is mistaken: it lets memory grow to twice
// what is in use, but of a table nothing becomes garbage until the next takes
// its place. So it gets a fixed room for garbage.
const (
	servingRoom = 4 << 20  // bytes, while answering
	loadingRoom = 64 << 20 // while a list is loaded, of which nearly all stays
	// largeList is the number of entries from which loading a list leaves
	// enough behind to be worth cleaning up.
	largeList = 1 << 14
)

// patience is the nice value (sched(7)) of a thread that loads lists.
const patience = 10

// aside runs f, which loads a list, and returns when it is done. Meanwhile
// those who answer come first: a list of a million lines is a fifth of a second
// of work, for which nobody should wait who asks about a client.
func aside(f func()) {
	// The thread of f counts as one that runs Go code even while it has to wait
	// for its turn, so there is to be one more of them. And the garbage
	// collector, which stops all for a moment, would wait for that turn too, so
	// it is to come later.
	procs := runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(procs + 1)
	defer runtime.GOMAXPROCS(procs)
	room(loadingRoom)
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

// tidy gives back to the system what making a table took, and what the table
// before it did.
func tidy(entries int) {
	if entries >= largeList {
		debug.FreeOSMemory()
	}
	room(servingRoom)
}

// room has garbage collected when there are so many bytes of it.
func room(bytes uint64) {
	if os.Getenv("GOGC") != "" {
		return // somebody knows better
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	debug.SetGCPercent(int(max(10, 100*bytes/max(m.HeapAlloc, bytes))))
}
