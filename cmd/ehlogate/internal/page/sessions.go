package page

import (
	"fmt"

	"ehlogate/cmd/ehlogate/internal/telemetry"
	"ehlogate/lists"
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

const barWidth = 100

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
	v.addLines()
}

// describeShare returns a share in percent.
func describeShare(part, whole uint64) string {
	if whole == 0 {
		return "–"
	}
	return fmt.Sprintf("%.3g %%", 100*float64(part)/float64(whole))
}

func newChart(hours []telemetry.Hour) chart {
	most := uint64(1)
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

// lineReasons says why STARTTLS is hidden from a client, if it is no line of a list.
var lineReasons = map[lists.Reason]string{
	lists.ReasonDefault:  `on no list: default = "suppress"`,
	lists.ReasonLimit:    "on no list: above the rate of [limit]",
	lists.ReasonPressure: "on no list: the CPU is short (cpu_pressure)",
}

// addLines adds for which lines STARTTLS was hidden.
func (v *view) addLines() {
	counts := v.page.api.Recorder.SuppressedLines(v.Now)
	t := newTable("Lines that hid STARTTLS, the most frequent first", "List", "code:Entry", "code:Line", "number:Sessions")
	total, isEstimate := uint64(0), false
	for _, c := range counts {
		total, isEstimate = total+c.Count, isEstimate || c.IsEstimate
		entry, place := cell{Text: c.Entry}, cell{}
		if c.Reason != lists.ReasonListed {
			entry.Text = lineReasons[c.Reason]
		}
		if c.File != "" {
			place = textCell("%s:%d", c.File, c.Line.Line)
		}
		n := number(c.Count)
		if c.IsEstimate {
			n.Text = "about " + n.Text
		}
		v.add(t, cell{Text: c.List}, entry, place, n)
	}
	lead := []string{"STARTTLS was hidden from no client in the last hour."}
	if len(counts) > 0 {
		lead = []string{v.say("STARTTLS was hidden in %s.", count(total, "session"))}
	}
	if isEstimate {
		lead = append(lead, "Of more than 200 a second a part is looked at: these numbers are estimates.")
	}
	v.addSection(section{ID: "suppressed", Title: "Hidden in the last hour", Lead: lead, Tables: []*table{t}})
}
