package mtatest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ehlogate/lists/pressure"
)

// Pressure writes a file cpu.pressure as the kernel would, while tasks wait for a share of time.
type Pressure struct {
	File    string
	Percent atomic.Int64 // of the time

	cancel  func()
	running sync.WaitGroup
}

// StartPressure writes a file in a directory until Stop, or until the test ends.
func StartPressure(t testing.TB, dir string) *Pressure {
	t.Helper()
	p := &Pressure{File: filepath.Join(dir, "cpu.pressure")}
	var ctx context.Context
	ctx, p.cancel = context.WithCancel(context.Background())
	p.write(t, 0)
	p.running.Go(func() { p.run(ctx, t) })
	t.Cleanup(p.Stop)
	return p
}

// Stop leaves the file as it is.
func (p *Pressure) Stop() { p.cancel(); p.running.Wait() }

func (p *Pressure) run(ctx context.Context, t testing.TB) {
	waited, last := time.Duration(0), time.Now()
	tick := time.NewTicker(pressure.Period / 4)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := time.Now()
		waited, last = waited+now.Sub(last)*time.Duration(p.Percent.Load())/100, now
		p.write(t, waited)
	}
}

// write replaces the file, so that a reader never sees half of it.
func (p *Pressure) write(t testing.TB, waited time.Duration) {
	text := fmt.Sprintf("some avg10=0.00 avg60=0.00 avg300=0.00 total=%d\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n", waited.Microseconds())
	if err := os.WriteFile(p.File+".new", []byte(text), 0o644); err != nil {
		t.Error(err)
	}
	if err := os.Rename(p.File+".new", p.File); err != nil {
		t.Error(err)
	}
}
