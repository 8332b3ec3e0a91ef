package engine

import (
	"os"
	"runtime"
	"runtime/debug"
)

const (
	// largeList is the number of entries from which loading a list leaves
	// enough behind to be worth cleaning up.
	largeList = 1 << 14
	// headroom is how many bytes of garbage may gather before it is
	// collected, however large the tables are: by itself the collector lets
	// memory grow to twice what is in use, and of a table nothing ever
	// becomes garbage until the next takes its place.
	headroom = 4 << 20
)

// tidy gives back to the system what making a table took, and what the table
// before it did. The collector has little to do for it: tables are flat arrays
// without pointers.
func tidy(entries int) {
	if entries < largeList || os.Getenv("GOGC") != "" {
		return
	}
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	debug.SetGCPercent(max(10, min(100, int(100*headroom/max(m.HeapAlloc, 1)))))
}
