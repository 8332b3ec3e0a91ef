package reload

import (
	"os"
	"runtime"
	"runtime/debug"

	"golang.org/x/sys/unix"
)

const (
	// largeFile is the size in bytes, and largeList the number of entries, from
	// which loading a list is worth being careful about.
	largeFile = 1 << 18
	largeList = 1 << 14
	// patience is the nice value (sched(7)) of a thread that loads a list.
	patience = 10
)

// giveBack returns to the system what making a table took, and what the one
// before it did.
func giveBack() {
	debug.FreeOSMemory()
	garbage(4<<20, 100)
}

// aside runs f on a thread that comes last, and returns when it is done: a
// million lines are a fifth of a second of work, for which no client should
// wait.
func aside(f func()) {
	// To Go, the thread runs even while it has to wait for its turn. So there
	// is to be one more that does, and the garbage collector, which stops all
	// for a moment and would wait for that turn too, is to come late.
	procs := runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(procs + 1)
	defer func() {
		if os.Getenv("GOMAXPROCS") == "" {
			runtime.SetDefaultGOMAXPROCS() // and follow the limits of the system again
		} else {
			runtime.GOMAXPROCS(procs)
		}
	}()
	garbage(64<<20, 1000)
	done := make(chan struct{})
	go func() {
		defer close(done)
		// The thread cannot become what it was, which would take a privilege;
		// with a goroutine that never unlocks it, it ends. The first one cannot
		// end, and its nice value is what ps shows for all.
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			runtime.UnlockOSThread()
		} else {
			_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), patience) // at worst it is not niced
		}
		f()
	}()
	<-done
}

// garbage has garbage collected when there are so many bytes of it, or that
// many per cent of what is in use. By itself the collector lets memory grow to
// twice what is in use, though of a table nothing becomes garbage until the next
// takes its place; and there is little for it to do, since tables are flat
// arrays without pointers.
func garbage(bytes, percent uint64) {
	if os.Getenv("GOGC") != "" {
		return // somebody knows better
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	debug.SetGCPercent(int(max(10, min(percent, 100*bytes/max(m.HeapAlloc, 1)))))
}
