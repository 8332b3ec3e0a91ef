package page

import (
	"ehlogate/cmd/ehlogate/internal/telemetry"
	"ehlogate/lists"
	"ehlogate/lists/secret"
)

// lineReasons says why STARTTLS is hidden from a client, if it is no line of a list.
var lineReasons = map[lists.Reason]string{
	lists.ReasonDefault:  `on no list: default = "suppress"`,
	lists.ReasonLimit:    "on no list: above the rate of [limit]",
	lists.ReasonPressure: "on no list: the CPU is short (cpu_pressure)",
}

// addSuppressed adds for which lines STARTTLS was hidden.
func (v *view) addSuppressed() {
	t, hour, isEstimate := v.newLineTable("Lines that hid STARTTLS, the most frequent first", v.page.api.Recorder.SuppressedLines(v.Now))
	lead := []string{"STARTTLS was hidden from no client in the last hour."}
	if hour > 0 {
		lead = []string{v.say("STARTTLS was hidden in %s in the last hour.", count(hour, "session"))}
	}
	v.addSection(section{ID: "suppressed", Title: "Hidden in the last 24 hours", Lead: appendEstimate(lead, isEstimate), Tables: []*table{t}})
}

// addObserved adds for which lines STARTTLS would be hidden, if lists or the config observe.
func (v *view) addObserved() {
	t, _, isEstimate := v.newLineTable("Lines that would hide STARTTLS, the most frequent first", v.page.api.Recorder.ObservedLines(v.Now))
	lead := []string{`No list with mode = "observe" would have hidden STARTTLS.`}
	switch observes := v.snapshot.Policy.Mode == lists.Observe; {
	case len(t.Rows) > 0:
		lead = []string{`This is what mode = "observe" kept from taking effect.`}
	case observes:
		lead = []string{`With mode = "enforce" in place of "observe", STARTTLS would have been hidden from no client.`}
	case !v.hasObservingList():
		return
	}
	v.addSection(section{ID: "observed", Title: "Would be hidden in the last 24 hours", Lead: appendEstimate(lead, isEstimate), Tables: []*table{t}})
}

// hasObservingList reports whether a list that observes could hide STARTTLS.
func (v *view) hasObservingList() bool {
	for i := range v.lists {
		if l := &v.lists[i]; l.Mode == lists.Observe && l.Action == lists.Suppress {
			return true
		}
	}
	return false
}

// newLineTable returns a table of lines, how many sessions of the last hour it has, and whether a number is an estimate.
func (v *view) newLineTable(caption string, counts []telemetry.LineCount) (t *table, hour uint64, isEstimate bool) {
	t = newTable(caption, "List", "code:Entry", "code:Line", "Note", "code:Last client", "number:Last hour", "number:24 hours")
	for _, c := range counts {
		hour, isEstimate = hour+c.Hour.Count, isEstimate || c.Hour.IsEstimate || c.Day.IsEstimate
		entry, place, client := cell{Text: c.Entry}, cell{}, cell{}
		if c.Reason != lists.ReasonListed {
			entry.Text = lineReasons[c.Reason]
		}
		if c.File != "" {
			place = textCell("%s:%d", c.File, c.Line.Line)
		}
		if c.Client.IsValid() {
			client.Text = c.Client.String()
		}
		v.add(t, cell{Text: c.List}, entry, place, cell{Text: secret.MaskText(c.Note)}, client, sessionCell(c.Hour), sessionCell(c.Day))
	}
	return t, hour, isEstimate
}

func sessionCell(s telemetry.Sessions) cell {
	c := number(s.Count)
	if s.IsEstimate {
		c.Text = "about " + c.Text
	}
	return c
}

func appendEstimate(lead []string, isEstimate bool) []string {
	if isEstimate {
		lead = append(lead, `Of more than 200 a second a part is looked at: numbers with "about" are estimates.`)
	}
	return lead
}
