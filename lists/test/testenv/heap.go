package testenv

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// MeasureHeap returns the most that is in use on the heap while run runs, and what its result keeps, in bytes. Garbage is
// collected nearly all the time, and what counts is what each collection found in use: not when it ran.
func MeasureHeap(run func() any) (most, kept uint64) {
	defer debug.SetGCPercent(debug.SetGCPercent(5))
	inUse := func() uint64 {
		sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		metrics.Read(sample)
		return sample[0].Value.Uint64()
	}
	runtime.GC()
	before := inUse()
	stop, high := make(chan struct{}), make(chan uint64)
	go func() {
		most := before
		tick := time.NewTicker(200 * time.Microsecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				high <- most
				return
			case <-tick.C:
				most = max(most, inUse())
			}
		}
	}()
	result := run()
	close(stop)
	most = <-high
	runtime.GC()
	after := inUse()
	runtime.KeepAlive(result)
	return max(most, after) - before, after - min(before, after)
}
