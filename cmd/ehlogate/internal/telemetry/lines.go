package telemetry

import (
	"cmp"
	"net/netip"
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
	// maxLineText bounds the text of an entry and its note that are kept.
	maxLineText = 120
)

// Line is a line of a list, an answer of DNS, or another reason for which STARTTLS is hidden.
type Line struct {
	List   string // "": no list, as with default = "suppress"
	Reason lists.Reason
	Entry  string
	File   string
	Line   int
}

// LineCount is how often a Line hid STARTTLS, or would hide it.
type LineCount struct {
	Line
	Note   string
	Client netip.Addr // the last one
	Hour   Sessions   // in the last hour
	Day    Sessions   // in the last 24 hours
}

// Sessions is a number of sessions.
type Sessions struct {
	Count uint64
	// IsEstimate means that there were more sessions than are looked at, and Count is a share of those of the list.
	IsEstimate bool
}

// lines counts for which line of a list STARTTLS is hidden, of those decisions that may be logged: they are so few that no
// lookup is slower for it.
type lines struct {
	mu sync.Mutex
	windows[Line, *lineStat]
}

type lineStat struct {
	count  uint64
	client netip.Addr // the last one
	note   string
}

func newLines() *lines { return &lines{windows: newWindows[Line, *lineStat]()} }

// note counts a decision. If another caller is here, it is left out.
func (l *lines) note(v *lists.Verdict, client netip.Addr, now time.Time) {
	if !l.mu.TryLock() {
		return
	}
	defer l.mu.Unlock()
	e := v.Entry()
	line := Line{v.ListName(), v.Reason, printable.Shorten(e.Text, maxLineText), e.File, e.Line}
	for _, counts := range l.at(now) {
		addLine(counts, line, e.Note, client)
	}
}

func addLine(counts map[Line]*lineStat, line Line, note string, client netip.Addr) {
	stat := counts[line]
	if stat == nil {
		stat = &lineStat{note: strings.Clone(printable.Shorten(note, maxLineText))} // it may be a part of the text of a whole list
		line.Entry = strings.Clone(line.Entry)
		if len(counts) >= maxLines {
			stat.count = takeRarest(counts)
		}
		counts[line] = stat
	}
	stat.count++
	stat.client = client
}

// takeRarest removes the least frequent line and returns its count.
func takeRarest(counts map[Line]*lineStat) uint64 {
	var rarest Line
	least := ^uint64(0)
	for line, stat := range counts {
		if stat.count < least {
			rarest, least = line, stat.count
		}
	}
	delete(counts, rarest)
	return least
}

// SuppressedLines returns how often each line hid STARTTLS, the most frequent of the last 24 hours first.
func (r *Recorder) SuppressedLines(now time.Time) []LineCount {
	return r.lines.count(now, r.history.countByList(now, false))
}

// ObservedLines returns how often each line of a list that observes, or with a config that observes, would hide STARTTLS.
func (r *Recorder) ObservedLines(now time.Time) []LineCount {
	return r.observedLines.count(now, r.history.countByList(now, true))
}

// count returns the counts of each line. byList has those of the lists, of all decisions.
func (l *lines) count(now time.Time, byList hourAndDay) []LineCount {
	l.mu.Lock()
	hour, inHour := sumLines(&l.hour, now)
	day, inDay := sumLines(&l.day, now)
	l.mu.Unlock()
	all := make([]LineCount, 0, len(day))
	for line, stat := range day {
		all = append(all, LineCount{line, stat.note, stat.client, estimate(hour[line].count, inHour[line.List], byList.hour[line.List]),
			estimate(stat.count, inDay[line.List], byList.day[line.List])})
	}
	slices.SortFunc(all, func(a, b LineCount) int {
		return cmp.Or(cmp.Compare(b.Day.Count, a.Day.Count), strings.Compare(a.List, b.List), strings.Compare(a.File, b.File), cmp.Compare(a.Line.Line, b.Line.Line),
			strings.Compare(a.Entry, b.Entry))
	})
	return all
}

// estimate returns the sessions of a line that was seen n times, of the total of its list, of which some were looked at.
func estimate(n, looked, total uint64) Sessions {
	if n == 0 || total <= looked {
		return Sessions{Count: n}
	}
	return Sessions{uint64(float64(n) / float64(looked) * float64(total)), true}
}

// sumLines returns the counts of a window by line, with the last note and client, and by list.
func sumLines(w *window[Line, *lineStat], now time.Time) (byLine map[Line]lineStat, byList map[string]uint64) {
	byLine, byList = map[Line]lineStat{}, map[string]uint64{}
	for counts := range w.recent(now) {
		for line, stat := range counts {
			byLine[line] = lineStat{byLine[line].count + stat.count, stat.client, stat.note}
			byList[line.List] += stat.count
		}
	}
	return byLine, byList
}
