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
	// recentPeriod and recentPeriods make the hour of which lists and lines are counted.
	recentPeriod  = 5 * time.Minute
	recentPeriods = 12
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
	deciders []*decider // whose decisions change the EHLO reply
	seen     map[prometheus.Counter]uint64
	sampled  time.Time
	hours    [hoursKept]hour
	recent   [recentPeriods]listPeriod
}

type hour struct {
	number              int64 // since 1970; 0: it is empty
	lookups, suppressed uint64
}

type listPeriod struct {
	number     int64
	suppressed map[string]uint64 // by list; "": none, or one of too many
}

// numberOf returns the number of the period in which a time is, since 1970.
func numberOf(now time.Time, length time.Duration) int64 {
	return now.Unix() / int64(length/time.Second)
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
	inHour, inPeriod := h.hourOf(since), h.periodOf(since)
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
			inHour.lookups += more
			if c.action == lists.Suppress {
				inHour.suppressed += more
				inPeriod.add(c.list, more)
			}
		}
	}
}

func (p *listPeriod) add(list string, n uint64) {
	if _, ok := p.suppressed[list]; !ok && len(p.suppressed) >= maxRecentLists {
		list = ""
	}
	p.suppressed[list] += n
}

func (h *history) hourOf(now time.Time) *hour {
	number := numberOf(now, time.Hour)
	slot := &h.hours[number%hoursKept]
	if slot.number != number {
		*slot = hour{number: number}
	}
	return slot
}

func (h *history) periodOf(now time.Time) *listPeriod {
	number := numberOf(now, recentPeriod)
	slot := &h.recent[number%recentPeriods]
	if slot.number != number {
		*slot = listPeriod{number, map[string]uint64{}}
	}
	return slot
}

// isRecent reports whether a period is one of the last hour.
func isRecent(number int64, now time.Time) bool {
	present := numberOf(now, recentPeriod)
	return number > present-recentPeriods && number <= present
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

// suppressedByList returns how often each list suppressed in the last hour.
func (h *history) suppressedByList(now time.Time) map[string]uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sample(now)
	all := map[string]uint64{}
	for _, p := range h.recent {
		if isRecent(p.number, now) {
			for list, n := range p.suppressed {
				all[list] += n
			}
		}
	}
	return all
}
