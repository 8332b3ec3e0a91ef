package telemetry

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/printable"
)

const (
	// maxLines is how many lines are told apart in a period. A new one takes the place of the least frequent (Space-Saving:
	// what is more frequent than one in maxLines is found in any case).
	maxLines = 128
	// maxLineText bounds the text of an entry that is kept.
	maxLineText = 120
)

// Line is a line of a list, an answer of DNS, or another reason for which STARTTLS is hidden.
type Line struct {
	List   string       `json:"list,omitempty"` // "": no list, as with default = "suppress"
	Reason lists.Reason `json:"reason"`
	Entry  string       `json:"entry,omitempty"`
	File   string       `json:"file,omitempty"`
	Line   int          `json:"line,omitempty"`
}

// LineCount is how often a Line hid STARTTLS.
type LineCount struct {
	Line
	Count uint64 `json:"count"`
	// IsEstimate means that there were more suppressions than are looked at, and Count is a share of those of the list.
	IsEstimate bool `json:"is_estimate,omitempty"`
}

// lines counts for which line of a list STARTTLS was hidden, of those decisions that may be logged: they are so few that no
// lookup is slower for it.
type lines struct {
	mu      sync.Mutex
	periods [recentPeriods]linePeriod
}

type linePeriod struct {
	number int64
	counts map[Line]uint64
}

// note counts a decision. If another caller is here, it is left out.
func (l *lines) note(v *lists.Verdict, now time.Time) {
	if !l.mu.TryLock() {
		return
	}
	defer l.mu.Unlock()
	number := numberOf(now, recentPeriod)
	p := &l.periods[number%recentPeriods]
	if p.number != number {
		*p = linePeriod{number, map[Line]uint64{}}
	}
	e := v.Entry()
	p.add(Line{v.ListName(), v.Reason, printable.Shorten(e.Text, maxLineText), e.File, e.Line})
}

func (p *linePeriod) add(line Line) {
	count, ok := p.counts[line]
	if !ok && len(p.counts) >= maxLines {
		var rarest Line
		count = ^uint64(0)
		for other, n := range p.counts {
			if n < count {
				rarest, count = other, n
			}
		}
		delete(p.counts, rarest)
	}
	if !ok {
		line.Entry = strings.Clone(line.Entry) // it may be a part of the text of a whole list
	}
	p.counts[line] = count + 1
}

// SuppressedLines returns how often each line hid STARTTLS in the last hour, the most frequent first.
func (r *Recorder) SuppressedLines(now time.Time) []LineCount {
	byList := r.history.suppressedByList(now)
	counts, looked := r.lines.sum(now)
	all := make([]LineCount, 0, len(counts))
	for line, n := range counts {
		c := LineCount{Line: line, Count: n}
		if total := byList[line.List]; total > looked[line.List] {
			c.Count, c.IsEstimate = uint64(float64(n)/float64(looked[line.List])*float64(total)), true
		}
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b LineCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.List, b.List), strings.Compare(a.File, b.File), cmp.Compare(a.Line.Line, b.Line.Line),
			strings.Compare(a.Entry, b.Entry))
	})
	return all
}

// sum returns the counts of the last hour by line, and by list.
func (l *lines) sum(now time.Time) (counts map[Line]uint64, looked map[string]uint64) {
	counts, looked = map[Line]uint64{}, map[string]uint64{}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.periods {
		if !isRecent(p.number, now) {
			continue
		}
		for line, n := range p.counts {
			counts[line] += n
			looked[line.List] += n
		}
	}
	return counts, looked
}
