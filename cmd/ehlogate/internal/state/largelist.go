package state

import (
	"os"
	"runtime"
	"runtime/debug"
)

// A list of a million entries is half a second of work, during which the daemon answers. TestReload and
// TestReloadPriority of internal/test/benchmarks measure what is done about it here.
const (
	// largeFile is the size in bytes, and largeList the number of entries, from which on a list is large.
	largeFile = 1 << 18
	largeList = 1 << 14
	// gcPercent bounds garbage while a large list is loaded. Lists have no pointers, so collecting more often costs little.
	gcPercent = 25
)

// loadAside calls load for a large list, and returns when it is done. load gets a thread of its own with a low priority, so
// that queries come first: on a machine with one processor they would wait for up to ten times as long, and on a busy one
// with two for twice as long. An operator who sets GOMAXPROCS gets what that says, and no such thread.
func loadAside(load func()) {
	defer debug.SetGCPercent(debug.SetGCPercent(gcPercent))
	if os.Getenv("GOMAXPROCS") != "" {
		load()
		return
	}
	// To Go the thread runs even while it waits for a processor, so there has to be one more that may run.
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
	defer runtime.SetDefaultGOMAXPROCS() // and follow the limits of the system again
	done := make(chan struct{})
	go func() {
		defer close(done)
		// Raising the priority again needs a privilege. A goroutine that ends without unlocking its thread ends the
		// thread. The first thread cannot end, and ps shows its nice value for the process.
		runtime.LockOSThread()
		if !lowerPriority() {
			runtime.UnlockOSThread()
		}
		load()
	}()
	<-done
}
