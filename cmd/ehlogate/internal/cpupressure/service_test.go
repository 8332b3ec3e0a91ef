package cpupressure

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"ehlogate/cmd/ehlogate/internal/test/logschema"
	"ehlogate/lists"
	"ehlogate/lists/pressure"
	"ehlogate/lists/ratelimit"
)

// fixture is a Service with a file that the test writes, and a clock that it sets.
type fixture struct {
	t       *testing.T
	file    string
	now     time.Time
	waited  time.Duration
	clients uint32
	log     bytes.Buffer
	limiter *ratelimit.Limiter
	service *Service
}

func newFixture(t *testing.T, rate float64) *fixture {
	f := &fixture{t: t, file: filepath.Join(t.TempDir(), "cpu.pressure"), now: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)}
	clock := func() time.Time { return f.now }
	log := logrus.New()
	logschema.Watch(t, log)
	log.SetOutput(&f.log)
	f.limiter = ratelimit.New(ratelimit.Rate{OffersPerSecond: rate, Keep: time.Minute}, clock)
	f.service = New(Options{Target: 0.2, File: f.file}, f.limiter, clock, log)
	f.write()
	return f
}

func (f *fixture) write() {
	f.t.Helper()
	text := fmt.Sprintf("some avg10=0.00 avg60=0.00 avg300=0.00 total=%d\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n", f.waited.Microseconds())
	if err := os.WriteFile(f.file, []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

// pass lets seconds pass in which a task waits for this share, and a hundred clients a second come.
func (f *fixture) pass(seconds int, share float64) (offered int) {
	f.t.Helper()
	for range seconds * int(time.Second/pressure.Period) {
		for range 20 {
			f.now = f.now.Add(pressure.Period / 20)
			f.clients++
			if action, _ := f.limiter.Decide(netip.AddrFrom4([4]byte{100, byte(f.clients >> 16), byte(f.clients >> 8), byte(f.clients)})); action == lists.Offer {
				offered++
			}
		}
		f.waited += time.Duration(share * float64(pressure.Period))
		f.write()
		f.service.take(f.service.look())
	}
	return offered
}

func (f *fixture) logged(words string) int { return strings.Count(f.log.String(), words) }

// TestFollows has the limit close and open with the pressure.
func TestFollows(t *testing.T) {
	f := newFixture(t, 0)
	if n := f.pass(5, 0.1); n != 500 {
		t.Errorf("%d of 500 offers with a pressure of 10 %%", n)
	}
	f.pass(20, 0.9)
	if st := f.service.Status(); st.OffersPerSecond == nil || *st.OffersPerSecond != 0 || math.Abs(st.Pressure-0.9) > 0.01 || st.File != f.file || st.Target != 0.2 {
		t.Errorf("%+v", st)
	}
	if n := f.pass(10, 0.9); n != 0 {
		t.Errorf("%d offers with a pressure of 90 %%", n)
	}
	f.pass(60, 0)
	if n := f.pass(5, 0); n != 500 || f.service.Status().OffersPerSecond != nil {
		t.Errorf("%d of 500 offers a minute after the pressure ended; %+v", n, f.service.Status())
	}
	if f.logged("the CPU is short: pressure") != 1 || f.logged("are offered STARTTLS without a limit") != 1 {
		t.Errorf("log: %s", &f.log)
	}
}

// TestUnreadable: what cannot be read sets no limit, whatever it said before, and the log says so and what to do.
func TestUnreadable(t *testing.T) {
	for _, tc := range []struct {
		name   string
		breaks func(f *fixture) error
		words  string
	}{
		{"removed", func(f *fixture) error { return os.Remove(f.file) }, "no such file or directory"},
		{"a directory", func(f *fixture) error { return errors.Join(os.Remove(f.file), os.Mkdir(f.file, 0o700)) }, "cannot read the CPU pressure"},
		{"empty", func(f *fixture) error { return os.WriteFile(f.file, nil, 0o600) }, "cpu.pressure:1: no line such as"},
		{"other text", func(f *fixture) error { return os.WriteFile(f.file, []byte("some total=-1\n"), 0o600) }, "cpu.pressure:1: no line such as"},
		{"endless", func(f *fixture) error { return os.WriteFile(f.file, make([]byte, 1<<20), 0o600) }, "cannot read the CPU pressure"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFixture(t, 0)
			f.pass(20, 0.9)
			if err := tc.breaks(f); err != nil {
				t.Fatal(err)
			}
			since := f.now
			for range 3 {
				f.service.take(f.service.look())
				f.now = f.now.Add(time.Second)
			}
			if st := f.service.Status(); !st.IsDegraded() || st.IsLimiting() || !strings.Contains(st.Error, tc.words) || !st.Since.Equal(since) {
				t.Errorf("%+v", st)
			}
			if action, _ := f.limiter.Decide(netip.MustParseAddr("192.0.2.1")); action != lists.Offer {
				t.Error("the limit stays")
			}
			if f.logged("cpu_pressure has no effect: clients on no list are offered STARTTLS without a limit") != 1 || f.logged("hint=") != 1 {
				t.Errorf("log: %s", &f.log)
			}
			if err := os.RemoveAll(f.file); err != nil {
				t.Fatal(err)
			}
			f.waited = 0 // a cgroup that is made anew
			f.now = f.now.Add(logPause)
			f.pass(20, 0.9)
			if st := f.service.Status(); st.IsDegraded() || !st.IsLimiting() || f.logged("cpu_pressure has effect again") != 1 {
				t.Errorf("%+v, log: %s", st, &f.log)
			}
		})
	}
}

// TestFixedRate: with offers_per_second, that rate is what is left.
func TestFixedRate(t *testing.T) {
	f := newFixture(t, 10)
	if err := os.Remove(f.file); err != nil {
		t.Fatal(err)
	}
	f.service.take(f.service.look())
	if f.logged("are offered STARTTLS up to offers_per_second (10)") != 1 {
		t.Errorf("log: %s", &f.log)
	}
	f.write()
	if n := f.pass(10, 0); n < 100 || n > 105 {
		t.Errorf("%d offers in ten seconds", n)
	}
}

// TestCountersBegin: counters that begin anew are no pressure.
func TestCountersBegin(t *testing.T) {
	f := newFixture(t, 0)
	f.waited = time.Hour
	f.pass(2, 0.1)
	f.waited = 0
	f.pass(2, 0.1)
	f.waited = 0
	f.pass(1, 0.1)
	if st := f.service.Status(); st.Pressure > 0.1 || st.IsLimiting() {
		t.Errorf("%+v", st)
	}
}

// TestHangs: a file that does not answer sets no limit, and the service ends all the same.
func TestHangs(t *testing.T) {
	f := newFixture(t, 0)
	f.pass(20, 0.9)
	f.service.readLimit = time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var running sync.WaitGroup
	running.Go(func() { f.service.await(ctx, make(chan reading)) })
	for st := f.service.Status(); !strings.Contains(st.Error, "takes longer than"); st = f.service.Status() {
		runtime.Gosched()
	}
	cancel()
	running.Wait()
	if action, _ := f.limiter.Decide(netip.MustParseAddr("192.0.2.1")); action != lists.Offer {
		t.Error("the limit stays")
	}
}

// TestKernel reads what the kernel of this machine says, while there is more work than processors, or its lack.
func TestKernel(t *testing.T) {
	before, file, err := Measure("")
	if _, statErr := os.Stat("/proc/pressure"); errors.Is(statErr, fs.ErrNotExist) {
		if err == nil && !strings.HasPrefix(file, "/sys/fs/cgroup/") || err != nil && err.Hint() != hintBoot {
			t.Fatalf("%s: %v", file, err)
		}
		return
	}
	if err != nil || file != "/proc/pressure/cpu" {
		t.Fatalf("%s: %v", file, err)
	}
	f := newFixture(t, 0)
	f.service = New(Options{Target: 0.01}, f.limiter, time.Now, f.service.log)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	for range 2 * runtime.NumCPU() {
		busy := exec.CommandContext(ctx, "sh", "-c", "while :; do :; done")
		if err := busy.Start(); err != nil {
			t.Fatal(err)
		}
		running.Go(func() { _ = busy.Wait() }) // it is killed
	}
	running.Go(func() { f.service.Run(ctx) })
	for st := f.service.Status(); !st.IsLimiting(); st = f.service.Status() {
		if st.IsDegraded() {
			t.Fatalf("%+v", st)
		}
		time.Sleep(10 * time.Millisecond) // polls a condition
	}
	if now, _, err := Measure(""); err != nil || now <= before {
		t.Errorf("waited %v, and then %v, %v", before, now, err)
	}
	cancel()
	running.Wait()
	if action, _ := f.limiter.Decide(netip.MustParseAddr("192.0.2.1")); action != lists.Offer {
		t.Error("the limit stays after the end")
	}
}

func FuzzTotal(f *testing.F) {
	for _, text := range []string{"some avg10=83.68 avg60=61.53 avg300=38.42 total=43878038020\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n", "some total=9223372036854775807\n",
		"full total=1\n", "some\n", "some total=\n", ""} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if total, err := parseTotal("f", text); total < 0 || err != nil && (total != 0 || err.Hint() == "") {
			t.Errorf("%v, %v", total, err)
		}
	})
}
