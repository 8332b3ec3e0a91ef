package maillog

import (
	"testing"
	"time"
)

// A log without years is read from one year to the next while it is written.
func TestNewYear(t *testing.T) {
	var got []time.Time
	r := NewReader(Options{Zone: time.UTC, Newest: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)}, func(s *Session) { got = append(got, s.Time) })
	for _, l := range []struct {
		now  time.Time
		line string
	}{
		{time.Date(2026, 12, 31, 23, 59, 0, 0, time.UTC), "Dec 31 23:58:00 mx postfix/smtpd[1]: disconnect from unknown[192.0.2.1] ehlo=1 quit=1 commands=2"},
		{time.Date(2027, 1, 1, 0, 1, 0, 0, time.UTC), "Jan  1 00:00:59 mx postfix/smtpd[1]: disconnect from unknown[192.0.2.1] ehlo=1 quit=1 commands=2"},
		{time.Date(2027, 1, 1, 0, 5, 0, 0, time.UTC), "Dec 31 23:59:59 mx postfix/smtpd[2]: disconnect from unknown[192.0.2.1] ehlo=1 quit=1 commands=2"},
	} {
		r.SetTime(l.now)
		r.Read([]byte(l.line))
	}
	r.Flush()
	if len(got) != 3 || got[0].Year() != 2026 || got[1].Year() != 2027 || got[2].Year() != 2026 {
		t.Errorf("got %v", got)
	}
}

// Without another line a session is handed out when a line of that time would have it handed out, whatever zone the log has.
func TestWait(t *testing.T) {
	for _, zone := range []*time.Location{time.UTC, time.FixedZone("", 14*3600), time.FixedZone("", -11*3600)} {
		n := 0
		r := NewReader(Options{Zone: zone}, func(*Session) { n++ })
		r.Read([]byte("2026-11-28T05:44:47 mx postfix/smtpd[1]: connect from unknown[192.0.2.1]"))
		r.Read([]byte("2026-11-28T05:44:48 mx postfix/smtpd[1]: disconnect from unknown[192.0.2.1] ehlo=1 quit=1 commands=2"))
		r.Read([]byte("2026-11-28T05:44:48 mx postfix/smtpd[2]: connect from unknown[192.0.2.1]"))
		for _, step := range []struct {
			idle time.Duration
			want int
		}{{scannerSpan, 0}, {scannerSpan + time.Second, 1}, {maxProcessIdle, 1}, {maxProcessIdle + time.Second, 2}} {
			if r.Wait(step.idle); n != step.want {
				t.Errorf("%s: after %v there are %d sessions, want %d", zone, step.idle, n, step.want)
			}
		}
		if got := r.Latest(); got.UnixNano() != r.now || got.IsZero() {
			t.Errorf("the latest time is %v", got)
		}
	}
}
