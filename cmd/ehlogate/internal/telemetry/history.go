package telemetry

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"ehlogate/lists"
)

const (
	// hoursKept is how many hours History has.
	hoursKept = 7 * 24
	// maxRecentLists is how many lists are told apart in a period. The suppressions of others count as of none.
	maxRecentLists = 200
)

// Hour has the lookups of mail servers in one hour: one for each session, as a rule.
type Hour struct {
	Begin      time.Time `json:"begin"`
	Lookups    uint64    `json:"lookups"`
	Suppressed uint64    `json:"suppressed"`
}

// history counts decisions by time. It reads the counters of the metrics, so that no decision pays for it.
type history struct {
	mu       sync.Mutex
	deciders []*decider // their decisions change the EHLO reply
	seen     map[prometheus.Counter]uint64
	sampled  time.Time
	hours    [hoursKept]hour
	// suppressed and observed count by list ("": none, or one of too many) what it hid, and what it would have hidden.
	suppressed, observed windows[string, uint64]
}

// hourAndDay has counts by list, of the last hour and of the last 24 hours.
type hourAndDay struct{ hour, day map[string]uint64 }

type hour struct {
	number              int64 // since 1970; 0: it is empty
	lookups, suppressed uint64
}

func (h *history) addDecider(d *decider) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.deciders = append(h.deciders, d)
}

// sampleIfDue samples once a minute, and when the clock was set back.
func (h *history) sampleIfDue(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if numberOf(now, time.Minute) != numberOf(h.sampled, time.Minute) {
		h.sample(now)
	}
}

// sample adds what was decided since the last sample to the hour and the period of that sample.
func (h *history) sample(now time.Time) {
	since := h.sampled
	if h.sampled = now; h.seen == nil {
		h.seen, since = map[prometheus.Counter]uint64{}, now
	}
	inHour, suppressed, observed := h.hourOf(since), h.suppressed.at(since), h.observed.at(since)
	for _, d := range h.deciders {
		counters := d.counters.Load()
		if counters == nil {
			continue
		}
		for i := range *counters {
			c := &(*counters)[i]
			count := readCounter(c.Counter)
			more := count - h.seen[c.Counter] // 0 if another decider of the protocol has the same
			if more == 0 {
				continue
			}
			h.seen[c.Counter] = count
			if c.observed {
				addByList(observed, c, more)
				continue
			}
			inHour.lookups += more
			if c.action == lists.Suppress {
				inHour.suppressed += more
				addByList(suppressed, c, more)
			}
		}
	}
}

// addByList adds the suppressions of a counter to those of its list, in each period.
func addByList(periods [2]map[string]uint64, c *counter, n uint64) {
	if c.action != lists.Suppress {
		return
	}
	for _, counts := range periods {
		list := c.list
		if _, ok := counts[list]; !ok && len(counts) >= maxRecentLists {
			list = ""
		}
		counts[list] += n
	}
}

func (h *history) hourOf(now time.Time) *hour {
	number := numberOf(now, time.Hour)
	slot := &h.hours[number%hoursKept]
	if slot.number != number {
		*slot = hour{number: number}
	}
	return slot
}

func readCounter(c prometheus.Counter) uint64 {
	var m dto.Metric
	if err := c.Write(&m); err != nil {
		return 0 // a counter has no error
	}
	return uint64(m.GetCounter().GetValue())
}

// Hours returns the last n hours, at most a week, the present one last. An hour without a lookup, or before the start, has
// zeros.
func (r *Recorder) Hours(now time.Time, n int) []Hour {
	h := &r.history
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sample(now)
	last := numberOf(now, time.Hour)
	all := make([]Hour, 0, n)
	for number := last - int64(min(n, hoursKept)) + 1; number <= last; number++ {
		out := Hour{Begin: time.Unix(number*int64(time.Hour/time.Second), 0)}
		if slot := h.hours[number%hoursKept]; slot.number == number {
			out.Lookups, out.Suppressed = slot.lookups, slot.suppressed
		}
		all = append(all, out)
	}
	return all
}

// countByList returns how often each list suppressed, or would have if it did not observe.
func (h *history) countByList(now time.Time, observed bool) hourAndDay {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sample(now)
	w := &h.suppressed
	if observed {
		w = &h.observed
	}
	return hourAndDay{sumLists(&w.hour, now), sumLists(&w.day, now)}
}

func sumLists(w *window[string, uint64], now time.Time) map[string]uint64 {
	all := map[string]uint64{}
	for counts := range w.recent(now) {
		for list, n := range counts {
			all[list] += n
		}
	}
	return all
}
