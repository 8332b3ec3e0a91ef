package page

import (
	"fmt"

	"ehlogate/cmd/ehlogate/internal/telemetry"
)

// chartHours is how many hours the chart has.
const chartHours = 24

// chart shows sessions by hour.
type chart struct {
	Bars   []bar
	Labels []string // below, at equal distances
	Most   string   // sessions in an hour
	Total  string
	Table  *table // the same in numbers
}

// bar is an hour. Its figures are in a square of 100 by 100 for each hour; y counts from the top.
type bar struct {
	X                   int
	Top, Height         int // of all sessions
	HiddenTop, HiddenOf int // of those without STARTTLS
	Title               string
}

const (
	barWidth   = 100
	shownWidth = 84 // the rest is a gap
)

func (v *view) addSessions() {
	hours := v.page.api.Recorder.Hours(v.Now, chartHours)
	v.Chart = newChart(hours)
	var sum telemetry.Hour
	for _, h := range hours {
		sum.Lookups, sum.Suppressed = sum.Lookups+h.Lookups, sum.Suppressed+h.Suppressed
	}
	entries := 0
	for i := range v.lists {
		entries += v.lists[i].Entries
	}
	v.Chart.Total = fmt.Sprintf("%s, STARTTLS hidden in %s", count(sum.Lookups, "session"), groupDigits(sum.Suppressed))
	v.Figures = append(v.Figures, figure{groupDigits(sum.Lookups), "sessions in 24 h"}, figure{describeShare(sum.Suppressed, sum.Lookups), "STARTTLS hidden"},
		figure{groupDigits(len(v.lists)), "lists"}, figure{groupDigits(entries), "entries"})
	v.addSuppressed()
	v.addObserved()
}

// describeShare returns a share in percent.
func describeShare(part, whole uint64) string {
	if whole == 0 {
		return "–"
	}
	return fmt.Sprintf("%.3g %%", 100*float64(part)/float64(whole))
}

func newChart(hours []telemetry.Hour) chart {
	most := uint64(0)
	for _, h := range hours {
		most = max(most, h.Lookups)
	}
	c := chart{Most: groupDigits(most), Table: newTable("Sessions by hour", "Hour", "number:Sessions", "number:STARTTLS hidden")}
	scale := func(n uint64) int {
		if n == 0 {
			return 0
		}
		return max(1, int(n*100/most)) // what is there is seen
	}
	for i, h := range hours {
		all, hidden := scale(h.Lookups), scale(h.Suppressed)
		name := h.Begin.Format("Mon 15:04")
		c.Bars = append(c.Bars, bar{X: i * barWidth, Top: 100 - all, Height: all, HiddenTop: 100 - hidden, HiddenOf: hidden,
			Title: fmt.Sprintf("%s: %s, STARTTLS hidden in %s", name, count(h.Lookups, "session"), groupDigits(h.Suppressed))})
		c.Table.Rows = append(c.Table.Rows, []cell{{Text: name}, number(h.Lookups), number(h.Suppressed)})
		if i%6 == 0 {
			c.Labels = append(c.Labels, h.Begin.Format("15:04"))
		}
	}
	return c
}
