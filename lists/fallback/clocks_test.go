package fallback

import (
	"testing"
	"time"
)

// A log and a clock that are not what they seem make no evidence.
func TestForgedTimes(t *testing.T) {
	type step struct {
		wall, followed time.Duration // that pass
		end            time.Duration // of the session, against the clock
	}
	const minute = time.Minute
	for name, c := range map[string]struct {
		steps []step
		want  bool
	}{
		"as it should be":               {[]step{{}, {31 * minute, 31 * minute, 0}, {31 * minute, 31 * minute, 0}}, true},
		"repeated log":                  {[]step{{}, {31 * minute, 31 * minute, -31 * minute}, {31 * minute, 31 * minute, -62 * minute}, {31 * minute, 31 * minute, -93 * minute}}, false},
		"log that is read at once":      {[]step{{end: -3 * time.Hour}, {end: -2 * time.Hour}, {end: -time.Hour}, {}}, false},
		"log that is read fast":         {[]step{{end: -3 * time.Hour}, {11 * minute, 11 * minute, -2 * time.Hour}, {11 * minute, 11 * minute, 0}}, false},
		"log that is half read at once": {[]step{{end: -2 * time.Hour}, {62 * minute, 62 * minute, -time.Hour}, {}}, false},
		"clock of the log is slow":      {[]step{{}, {11 * minute, 31 * minute, 0}, {11 * minute, 31 * minute, 0}}, false},
		"clock of the log stands":       {[]step{{}, {0, 31 * minute, 0}, {0, 31 * minute, 0}, {0, 31 * minute, 0}}, false},
		"last year": {[]step{
			{end: -365 * day}, {31 * minute, 31 * minute, -365 * day}, {31 * minute, 31 * minute, -365 * day}, {31 * minute, 31 * minute, -365 * day},
		}, false},
		"future": {[]step{{end: day}, {31 * minute, 31 * minute, day}, {31 * minute, 31 * minute, day}}, false},
		"out of order": {[]step{
			{end: -minute}, {31 * minute, 31 * minute, -3 * time.Hour}, {31 * minute, 31 * minute, -4 * time.Hour}, {31 * minute, 31 * minute, -5 * time.Hour},
		}, false},
		"the daemon was down for two days": {[]step{{}, {31 * minute, 31 * minute, 0}, {2 * day, minute, 0}, {31 * minute, 31 * minute, 0}}, false},
		"the clock is set back for a day":  {[]step{{}, {2 * time.Hour, 25 * time.Hour, 0}, {31 * minute, 31 * minute, 0}}, false},
		"the clock is set back and forth": {[]step{
			{}, {-10 * day, 0, 0}, {20 * day, 0, 0}, {-10 * day, 0, 0}, {time.Hour, time.Second, 0}, {time.Hour, time.Second, 0}, {-2 * time.Hour, time.Second, 0},
		}, false},
		"the clock was set back, long ago": {[]step{
			{}, {31 * minute, 31 * minute, 0}, {-10 * day, 0, 0}, {31 * minute, 31 * minute, 0}, {31 * minute, 31 * minute, 0}, {31 * minute, 31 * minute, 0},
		}, true},
	} {
		w := newWorld(t, nil)
		for _, s := range c.steps {
			w.now.Wall, w.now.Followed = w.now.Wall.Add(s.wall), w.now.Followed+s.followed
			w.wait(0)
			w.add(client, fails(noCipher), ending(w.now.Wall.Add(s.end)))
		}
		w.expect(w.suppress, client, c.want, name)
	}
}

// Even where one failure suffices, one of last year does not.
func TestOldFailure(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Sessions, o.Span = 1, 0 })
	w.add(client, fails(noCipher), ending(w.now.Wall.Add(-25*time.Hour)))
	w.expect(w.suppress, client, false, "25 hours old")
	w.add(client, fails(noCipher), ending(w.now.Wall.Add(6*time.Minute)))
	w.expect(w.suppress, client, false, "in six minutes")
	w.add(client, fails(noCipher), ending(time.Time{}))
	w.expect(w.suppress, client, false, "without a time")
	w.add(client, fails(noCipher))
	w.expect(w.suppress, client, true, "now")
}

// A client that completed TLS is immune however the clock is set.
func TestClockNeverShortensImmunity(t *testing.T) {
	w := newWorld(t, nil)
	w.add(client, succeeds("TLSv1.3"), named(""))
	for _, jump := range []time.Duration{1000 * day, -3000 * day, 2000 * day, 401 * day} {
		w.now.Wall = w.now.Wall.Add(jump)
		w.learn(client, noCipher)
		w.expect(w.suppress, client, false, "the clock was set by "+jump.String())
	}
}

// An entry never outlives its life, however the clock is set, if only it is looked at with each setting.
func TestClockNeverLengthensLife(t *testing.T) {
	w := newWorld(t, manySessions)
	w.learn(client, noCipher)
	made := w.now.Followed
	for i := range 4 * 60 {
		w.now.Wall = w.now.Wall.Add([]time.Duration{-day, time.Hour, -time.Hour, 3 * time.Minute}[i%4])
		w.wait(time.Minute)
	}
	if w.expect(w.suppress, client, false, "four hours"); w.now.Followed-made != 4*time.Hour {
		t.Error(w.now.Followed - made)
	}
}
