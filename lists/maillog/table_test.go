package maillog

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// A table ends the sessions that a list of keys, the least recently active first, says.
func TestTable(t *testing.T) {
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 1))
		var ended, want, active []uint64
		now := stamp(0)
		table := newTable(20*time.Nanosecond, func(s *session) { ended = append(ended, s.key) })
		last := map[uint64]stamp{}
		for range 500 {
			now++
			key := r.Uint64N(8)
			at := slices.Index(active, key)
			s := table.get(key)
			if (s != nil) != (at >= 0) || s != nil && s.key != key {
				t.Fatalf("seed %d: key %d: got %+v, want it among %d", seed, key, s, active)
			}
			if at >= 0 {
				active = slices.Delete(active, at, at+1)
			}
			switch {
			case s != nil && r.IntN(3) == 0:
				table.end(s)
				want = append(want, key)
				continue
			case s == nil:
				s = &session{}
				table.add(key, s, &Stats{})
			}
			active, s.seen, last[key] = append(active, key), now, now
			if r.IntN(10) == 0 {
				now += 15
			}
			for len(active) > 0 && now-last[active[0]] > 20 {
				want, active = append(want, active[0]), active[1:]
			}
			table.expire(now)
		}
		table.flush()
		if want = append(want, active...); !slices.Equal(ended, want) || len(table.open) > 0 || table.newest != nil {
			t.Fatalf("seed %d: ended %d, want %d", seed, ended, want)
		}
	}
}
