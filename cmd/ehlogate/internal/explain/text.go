package explain

import (
	"fmt"
	"net/netip"
	"strings"
	"text/tabwriter"
	"time"

	"ehlogate/cmd/ehlogate/internal/running"
	"ehlogate/lists"
	"ehlogate/lists/printable"
)

// Row is one thing that is to be said of a decision.
type Row struct {
	Label string // what it is about; "": the same as the row before
	Text  string
	Table [][]string // rows of cells, below the text
}

// rows are those of a report.
type rows []Row

func (r *rows) add(label, format string, args ...any) {
	*r = append(*r, Row{Label: label, Text: fmt.Sprintf(format, args...)})
}

// addAll adds texts under one label.
func (r *rows) addAll(label string, texts []string) {
	for i, text := range texts {
		r.add([]string{label, ""}[min(i, 1)], "%s", text)
	}
}

// addVerdict adds a row about a verdict, and what the author of its entry wrote behind it.
func (r *rows) addVerdict(v VerdictText, label, format string, args ...any) {
	r.add(label, format, args...)
	if v.Note != "" {
		r.add("note", "%s", v.Note)
	}
	if !v.Until.IsZero() {
		r.add("until", "%s", v.Until.Format(time.RFC3339))
	}
}

func (s *Shared) text(addr string) string {
	may := "a private address: behind a proxy, a NAT or the bridge of a container, all clients have it, and share this decision"
	if a, err := netip.ParseAddr(addr); err == nil && !lists.MayBeShared(a) {
		may = "perhaps the address of a proxy or a NAT, whose clients share this decision; or one client claims ever other names"
	}
	if s.Share > 0 || s.Names > 0 {
		return fmt.Sprintf("%s; it is %s", &running.SharedAddress{Share: s.Share, Names: s.Names}, may)
	}
	return may
}

// Title returns the client and the decision.
func (r Report) Title() string {
	client := r.Client.Addr
	for _, name := range []struct{ what, s string }{{"name", r.Client.Name}, {"HELO", r.Client.HELO}} {
		if name.s != "" {
			client += fmt.Sprintf(" (%s %s)", name.what, name.s)
		}
	}
	return fmt.Sprintf("%s: %s", client, r.Decision.Action)
}

// Rows returns all that there is to say besides the title. What others wrote is in it as it is.
func (r Report) Rows() []Row {
	var p rows
	p.addVerdict(r.Decision, "because", "%s", formatReason(r.Decision))
	if v := r.Would; v != nil {
		p.addVerdict(*v, "would be", "%s: %s", v.Action, formatReason(*v))
	}
	for _, h := range r.Hidden {
		p.addVerdict(h.VerdictText, h.verb(), "%s", h.text())
	}
	for _, v := range r.Observed {
		p.addVerdict(v, "observed", "%s, if list %q were not in mode \"observe\": %s", v.Action, v.List, formatReason(v))
	}
	for _, v := range r.Overridden {
		p.addVerdict(v, "guarded", "%s, overridden by [guard]: %s", v.Action, formatReason(v))
	}
	for _, v := range r.Exceptions {
		what := v.Action.String()
		if v.Action == lists.NoAction {
			what = "hidden"
		}
		p.addVerdict(v, "not", "%s by list %q: exception %s, %s:%d", what, v.List, v.Entry, v.File, v.Line)
	}
	r.addSource(&p)
	if s := r.Shared; s != nil {
		p.add("shared", "%s", s.text(r.Client.Addr))
	}
	if s := r.Pressure; s != nil {
		p.add("pressure", "%s", s)
	}
	if g := r.Guard; g != nil && g.Active {
		p.add("guard", "active: %s", g.Why)
	}
	if l := r.Logs; l != nil {
		p.addAll("log", describeLogs(*l))
	}
	p.addAll("learned", r.describeLearned())
	for _, a := range r.Queries {
		row := Row{Label: "DNS", Text: "host name"}
		if a.List != "" {
			row.Text = fmt.Sprintf("list %q", a.List)
		}
		for _, s := range a.Steps {
			row.Table = append(row.Table, []string{s.Query, s.Answer, s.Effect, formatSource(s)})
		}
		p = append(p, row)
	}
	if len(r.Answers) > 0 {
		row := Row{Label: "answers"}
		for _, a := range r.Answers {
			row.Table = append(row.Table, []string{a.Protocol, a.Query, formatReply(a), a.Effect})
		}
		p = append(p, row)
	}
	return p
}

// maxCell is how many bytes of a line, or of a cell of a table, are shown.
const maxCell = 2000

func showText(format string, args ...any) string {
	return printable.Escape(printable.Shorten(fmt.Sprintf(format, args...), maxCell))
}

// Text returns the report for a terminal. What others wrote is escaped in it, and bounded.
func (r Report) Text() string {
	var b strings.Builder
	b.WriteString(showText("%s", r.Title()) + "\n")
	for _, row := range r.Rows() {
		line := "  " + row.Label
		if row.Text != "" {
			line = fmt.Sprintf("  %-9s %s", row.Label, row.Text)
		}
		b.WriteString(showText("%s", line) + "\n")
		table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		for _, cells := range row.Table {
			for i, c := range cells {
				cells[i] = showText("%s", c)
			}
			fmt.Fprintln(table, "    "+strings.TrimRight(strings.Join(cells, "\t"), "\t"))
		}
		table.Flush()
	}
	return b.String()
}

// formatSource returns where the answer of a step came from, and its age.
func formatSource(s lists.TraceStep) string {
	age, ttl := s.Age.Round(time.Second), s.TTL.Round(time.Second)
	switch {
	case s.From == "" || s.Age == 0 && s.TTL == 0:
		return s.From
	case s.TTL == 0:
		return fmt.Sprintf("%s, %v old", s.From, age)
	case s.TTL < 0:
		return fmt.Sprintf("%s, %v old, expired %v ago", s.From, age, -ttl)
	}
	return fmt.Sprintf("%s, %v old, valid for %v", s.From, age, ttl)
}

// formatReply returns the part of a reply that matters to a reader.
func formatReply(a Answer) string {
	lines := strings.Split(a.Reply, "\r\n")
	if a.Protocol == "memcache" && len(lines) == 3 {
		return fmt.Sprintf("%q", lines[1])
	}
	return fmt.Sprintf("%q", a.Reply)
}

func formatReason(v VerdictText) string {
	switch v.Reason {
	case lists.ReasonListed:
		if v.File == "" {
			return fmt.Sprintf("list %q: %s", v.List, v.Entry)
		}
		return fmt.Sprintf("%s in list %q, %s:%d", v.Entry, v.List, v.File, v.Line)
	case lists.ReasonDefault:
		return "no list matches; this is the default"
	case lists.ReasonUnavailable:
		if v.List == "" {
			return "a list was unavailable when the last session of the client began, so STARTTLS was offered"
		}
		return fmt.Sprintf("list %q is unavailable and might match", v.List)
	case lists.ReasonNoAddress:
		return "no list matches, and the default needs a client address"
	case lists.ReasonLimit:
		if v.Action == lists.Offer {
			return "no list matches; within the rate of [limit]"
		}
		return "no list matches; above the rate of [limit]"
	case lists.ReasonPressure:
		return "no list matches; the CPU is short, by cpu_pressure of [limit]"
	case lists.ReasonGuard:
		return "no list matches; [guard]: a domain served here may have published MTA-STS or DANE"
	case lists.ReasonSubmission:
		return "STARTTLS is always offered on submission"
	case lists.ReasonObserve:
		return `mode = "observe": decisions have no effect`
	}
	return "internal error; see the log"
}
