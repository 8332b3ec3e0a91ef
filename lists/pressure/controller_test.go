package pressure

import (
	"math"
	"testing"
	"time"

	"ehlogate/lists/test/testenv"
)

const (
	target = 0.2
	// A flood comes after ten seconds, for 35. The limit has settled ten seconds later.
	begun, settled, ended, length = 10, 20, 45, 80
)

var (
	flood  = func(rate float64) func(time.Duration) float64 { return during(rate, 5) }
	during = func(v, otherwise float64) func(time.Duration) float64 {
		return between(begun*time.Second, ended*time.Second, v, otherwise)
	}
)

// newMachine returns a machine of two cores for which a flood is too much with TLS, and not without.
func newMachine() *machine {
	return &machine{cores: 2, processes: 100, plain: 500 * time.Microsecond, handshake: 4 * time.Millisecond, roundTrip: 50 * time.Millisecond,
		unknown: flood(1000), known: constantly(20), others: constantly(0), noise: 0.5}
}

// TestController has floods come to machines of many kinds.
func TestController(t *testing.T) {
	for i, tc := range []struct {
		name   string
		change func(m *machine)
		closes bool // nothing but a limit of 0 keeps the pressure down, or not even that
		open   bool // there is never a reason for a limit
		swings bool // the arrivals do
		short  bool // there is a limit, and it refuses hardly a client
	}{
		{name: "flood", change: func(*machine) {}},
		{name: "eight cores", change: func(m *machine) { m.cores, m.handshake, m.unknown = 8, 8*time.Millisecond, flood(3000) }},
		{name: "all of the work is TLS", change: func(m *machine) { m.plain = 50 * time.Microsecond }},
		{name: "cheap handshakes", change: func(m *machine) { m.handshake = time.Millisecond }},
		{name: "clients that answer at once", change: func(m *machine) { m.roundTrip = 5 * time.Millisecond }},
		{name: "clients far away", change: func(m *machine) { m.roundTrip, m.processes = 300*time.Millisecond, 1000 }},
		{name: "many processes", change: func(m *machine) { m.processes = 1000 }},
		{name: "a third more than it can do", change: func(m *machine) { m.unknown = flood(300) }},
		{name: "other programs come and go", change: func(m *machine) { m.noise = 5 }},
		{name: "known clients come more often, too", change: func(m *machine) { m.known = during(100, 20) }},
		{name: "a flood that pauses for five seconds", swings: true, change: func(m *machine) {
			m.unknown = func(at time.Duration) float64 { return during(float64(at/(5*time.Second)%2)*1000, 5)(at) }
		}},
		{name: "a flood that pauses every second", swings: true, change: func(m *machine) {
			m.unknown = func(at time.Duration) float64 { return during(float64(at/time.Second%2)*1000, 5)(at) }
		}},
		{name: "one core, too slow for the flood even without TLS", closes: true, change: func(m *machine) { m.cores = 1 }},
		{name: "no flood, and other programs use all processors", closes: true, change: func(m *machine) { m.unknown, m.others = constantly(5), during(4, 0) }},
		{name: "a flood that it can do", open: true, change: func(m *machine) { m.unknown = flood(150) }},
		{name: "another program uses one of two processors", open: true, change: func(m *machine) { m.unknown, m.others = constantly(5), during(1, 0) }},
		{name: "for three seconds other programs use all processors", short: true, change: func(m *machine) {
			m.unknown, m.others = constantly(2), between(begun*time.Second, (begun+3)*time.Second, 4, 0)
		}},
		{name: "for a moment other programs use all processors", open: true, change: func(m *machine) {
			m.unknown, m.others = constantly(5), between(begun*time.Second, begun*time.Second+Period, 4, 0)
		}},
	} {
		if testenv.Race && i%5 > 0 {
			continue // with one goroutine there is no race, and it takes ten times as long
		}
		t.Run(tc.name, func(t *testing.T) {
			m := newMachine()
			tc.change(m)
			out := m.run(length*time.Second, New(target))
			during := out[settled:ended]
			pressure, _ := meanOf(during, func(s second) float64 { return s.pressure })
			offers, deviation := meanOf(during, func(s second) float64 { return float64(s.offered) })
			t.Logf("pressure %.2f, offers %.0f ± %.0f a second", pressure, offers, deviation)
			for i, s := range during {
				switch {
				case tc.closes && s.limit != 0:
					t.Errorf("limit %.1f in second %d, with pressure %.2f", s.limit, settled+i, s.pressure)
				case tc.swings || tc.closes || tc.short:
				case s.pressure > 2*target:
					t.Errorf("pressure %.2f in second %d", s.pressure, settled+i)
				case !tc.open && math.Abs(float64(s.offered)-offers) > 4*math.Sqrt(offers)+offers/4:
					t.Errorf("%d offers in second %d, on average %.0f", s.offered, settled+i, offers)
				}
			}
			switch {
			case tc.swings && pressure > target, !tc.swings && !tc.closes && !tc.open && !tc.short && math.Abs(pressure-target) > target/5:
				t.Errorf("pressure is %.2f on average, and should come to rest at %v", pressure, target)
			case tc.open && isLimited(out):
				t.Error("there was a limit")
			}
			if refused, _ := meanOf(out, func(s second) float64 { return float64(s.refused) }); tc.short && (refused > 0.05 || !isLimited(out)) {
				t.Errorf("%.2f clients a second were refused", refused)
			}
			checkEnd(t, out)
		})
	}
}

func isLimited(out []second) bool {
	for _, s := range out {
		if s.refused > 0 || !math.IsInf(s.limit, 1) {
			return true
		}
	}
	return false
}

// checkEnd expects that ten seconds after the flood no client is refused but for chance, and then that there is no limit.
func checkEnd(t *testing.T, out []second) {
	t.Helper()
	offered, refused := 0, 0
	for _, s := range out[ended+10:] {
		offered, refused = offered+s.offered, refused+s.refused
	}
	if last := out[len(out)-1].limit; refused > offered/10 || !math.IsInf(last, 1) {
		t.Errorf("after the flood %d clients were refused and %d were not; at last the limit is %.0f", refused, offered, last)
	}
}

// TestTargets: the pressure comes to rest at any target.
func TestTargets(t *testing.T) {
	targets := []float64{0.05, 0.1, 0.4, 0.7}
	if testenv.Race {
		targets = targets[2:3]
	}
	for _, target := range targets {
		m := newMachine()
		m.plain = 50 * time.Microsecond
		pressure, deviation := meanOf(m.run(ended*time.Second, New(target))[settled:], func(s second) float64 { return s.pressure })
		if t.Logf("pressure %.2f ± %.2f at %v", pressure, deviation, target); math.Abs(pressure-target) > target/5 || deviation > max(target/4, 0.03) {
			t.Errorf("pressure %.2f ± %.2f, and should come to rest at %v", pressure, deviation, target)
		}
	}
}

// TestKnownClients compares what a flood costs clients that are on a list, with the limit and without.
func TestKnownClients(t *testing.T) {
	without := newMachine()
	without.measure = func(time.Duration, float64) float64 { return 0 }
	served := func(out []second) (n int) {
		for _, s := range out[settled:ended] {
			n += s.knownServed
		}
		return n
	}
	latency := func(s second) float64 { return s.latency.Seconds() }
	flooded, limited := without.run(length*time.Second, New(target)), newMachine().run(length*time.Second, New(target))
	slow, _ := meanOf(flooded[settled:ended], latency)
	fast, _ := meanOf(limited[settled:ended], latency)
	calm, _ := meanOf(limited[:begun], latency)
	t.Logf("known clients served: %d without a limit, %d with it; the slowest of a second took %.2f and %.2f s, before the flood %.2f s",
		served(flooded), served(limited), slow, fast, calm)
	if due := 20 * (ended - settled); served(limited) < due*8/10 || served(flooded) > served(limited)*8/10 || fast > 3*calm {
		t.Errorf("of about %d clients", due)
	}
}

// TestKernelAverage shows why the pressure is averaged here: with the average of the kernel over ten seconds, which is
// made anew every two, the same controller acts late and too much, and does not come to rest.
func TestKernelAverage(t *testing.T) {
	var average, sum float64
	n := 0
	m := newMachine()
	m.measure = func(_ time.Duration, pressure float64) float64 {
		sum += pressure
		if n++; time.Duration(n)*Period == 2*time.Second {
			average += (1 - math.Exp(-2.0/10)) * (sum/float64(n) - average)
			sum, n = 0, 0
		}
		return average
	}
	kernel, own := m.run(length*time.Second, New(target)), newMachine().run(length*time.Second, New(target))
	offers := func(s second) float64 { return float64(s.offered) }
	pressure := func(s second) float64 { return s.pressure }
	_, swing := meanOf(kernel[settled:ended], offers)
	_, ownSwing := meanOf(own[settled:ended], offers)
	first, _ := meanOf(kernel[begun:settled], pressure)
	ownFirst, _ := meanOf(own[begun:settled], pressure)
	t.Logf("offers vary by %.0f a second, and by %.0f here; pressure is %.2f in the first ten seconds, and %.2f here", swing, ownSwing, first, ownFirst)
	if swing < 5*ownSwing || first < 2*ownFirst {
		t.Error("the average of the kernel is no worse")
	}
}

// TestForgets: a rate at which other programs made the pressure too high does not keep the limit low.
func TestForgets(t *testing.T) {
	m := newMachine()
	m.others = between(begun*time.Second, settled*time.Second, 4, 0)
	m.unknown = between(settled*time.Second, ended*time.Second, 300, 5)
	out := m.run(ended*time.Second, New(target))
	if late := out[settled+13]; out[settled-1].limit != 0 || late.offered < 150 {
		t.Errorf("the limit was %.1f, and 13 seconds later there are %d offers", out[settled-1].limit, late.offered)
	}
}

// TestStrangeSamples: whatever is measured, the limit is a number, and after a pause one sample changes little.
func TestStrangeSamples(t *testing.T) {
	c := New(target)
	for range 100 {
		c.Add(Sample{Period, 0, 20})
	}
	if got := c.Add(Sample{time.Hour, 0.1, 100}); !math.IsInf(got, 1) {
		t.Errorf("limit %v after a pause", got)
	}
	if got := c.Add(Sample{time.Hour, 0.9, 100}); got < first/4 {
		t.Errorf("limit %v after a pause with pressure", got)
	}
	for _, s := range []Sample{{0, 1, 1}, {-time.Second, 1, 1}, {time.Nanosecond, 1, 1 << 40}, {time.Hour, 1e300, 1 << 63}, {time.Second, -5, 0}, {time.Second, math.Inf(1), 3}} {
		c.Add(s)
		if math.IsNaN(c.Limit()) || c.Limit() < 0 || !(c.Average() >= 0 && c.Average() <= 1) {
			t.Fatalf("limit %v, average %v after %+v", c.Limit(), c.Average(), s)
		}
	}
}
