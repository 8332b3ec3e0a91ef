package benchmarks

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The host of a virtual machine, or an interrupt, may stop a processor for milliseconds, often ten times a second. Such
// stops alone then make the p99 of every program that is measured. The steal time in /proc/stat has few of them.

const (
	// watchPeriod is how often a thread on each processor looks at the clock.
	watchPeriod = 250 * time.Microsecond
	// minStop is the time between two looks that counts as a stop.
	minStop = 600 * time.Microsecond
)

// span is a time since the start of a measurement.
type span struct{ from, to time.Duration }

// watchStops watches for stops of the processors. end returns them. The threads have a real-time priority, since a delay
// by what is measured is no stop; without the right to have one, there are no threads and no stops.
func watchStops(start time.Time) (end func() []span) {
	var allowed unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		return func() []span { return nil }
	}
	var (
		over  atomic.Bool
		wg    sync.WaitGroup
		mu    sync.Mutex
		stops []span
	)
	procs := runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(procs + allowed.Count()) // or a thread may wait for its turn after a sleep
	for cpu := range 1024 {                     // CPU_SETSIZE
		if !allowed.IsSet(cpu) {
			continue
		}
		wg.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			if setRealTime(2) != nil {
				return
			}
			// The thread must not end with the goroutine: the kernel would kill the servers that it started (PR_SET_PDEATHSIG).
			defer endRealTime()
			var one unix.CPUSet
			one.Set(cpu)
			if unix.SchedSetaffinity(0, &one) != nil {
				return
			}
			defer func() { _ = unix.SchedSetaffinity(0, &allowed) }()
			var mine []span
			sleep := unix.NsecToTimespec(int64(watchPeriod))
			for last := time.Since(start); !over.Load(); {
				_ = unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &sleep, nil)
				now := time.Since(start)
				if now-last > minStop {
					mine = append(mine, span{last, now})
				}
				last = now
			}
			mu.Lock()
			defer mu.Unlock()
			stops = append(stops, mine...)
		})
	}
	return func() []span {
		over.Store(true)
		wg.Wait()
		runtime.GOMAXPROCS(procs)
		return stops
	}
}

// preferProcess gives a server that is measured a higher priority than other programs have, if that is possible, and no other
// tests may run beside this one.
func preferProcess(t testing.TB, pid int) {
	t.Helper()
	if !full {
		return
	}
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range threads {
		tid, err := strconv.Atoi(entry.Name())
		if err != nil {
			t.Fatal(err)
		}
		_ = unix.Setpriority(unix.PRIO_PROCESS, tid, -20) // new threads inherit it
	}
}

// setRealTime gives this thread a real-time priority, unless other tests may run beside this one.
func setRealTime(priority uint32) error {
	if !full {
		return errors.New("no real-time priority in a small run")
	}
	err := unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: priority}, 0)
	if err != nil {
		return fmt.Errorf("real-time priority: %w", err)
	}
	return nil
}

// endRealTime gives this thread the usual priority again.
func endRealTime() {
	if err := unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL}, 0); err != nil {
		panic(err) // the kernel allows it to each thread
	}
}

// markStopped marks the requests that waited while a processor had stopped, or
// for as long again after it, when a server works off what had to wait.
func markStopped(all []timing, stops []span) {
	for i := range all {
		x := &all[i]
		x.stopped = slices.ContainsFunc(stops, func(s span) bool { return x.due < 2*s.to-s.from && x.due+x.took > s.from })
	}
}
