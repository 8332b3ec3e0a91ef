package explain

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"ehlogate/lists"
)

// Text returns the report for a terminal.
func (r Report) Text() string {
	var b strings.Builder
	client := r.Client.Addr
	for _, name := range []struct{ what, s string }{{"name", r.Client.Name}, {"HELO", r.Client.HELO}} {
		if name.s != "" {
			client += fmt.Sprintf(" (%s %s)", name.what, name.s)
		}
	}
	write := func(v VerdictText, format string, args ...any) {
		fmt.Fprintf(&b, format+"\n", args...)
		if v.Note != "" {
			fmt.Fprintf(&b, "  note      %s\n", v.Note)
		}
		if v.Until != nil {
			fmt.Fprintf(&b, "  until     %s\n", v.Until.Format(time.RFC3339))
		}
	}
	fmt.Fprintf(&b, "%s: %s\n", client, r.Decision.Action)
	write(r.Decision, "  because   %s", formatReason(r.Decision))
	if v := r.Would; v != nil {
		write(*v, "  would be  %s: %s", v.Action, formatReason(*v))
	}
	for _, v := range r.Observed {
		write(v, "  observed  %s, if list %q were not in mode \"observe\": %s", v.Action, v.List, formatReason(v))
	}
	for _, v := range r.Overridden {
		write(v, "  guarded   %s, overridden by [guard]: %s", v.Action, formatReason(v))
	}
	for _, v := range r.Exceptions {
		write(v, "  not       %s by list %q: exception %s, %s:%d", v.Action, v.List, v.Entry, v.File, v.Line)
	}
	r.writeSource(&b)
	if g := r.Guard; g != nil && g.Active {
		fmt.Fprintf(&b, "  guard     active: %s\n", g.Why)
	}
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, a := range r.Queries {
		what := "host name"
		if a.List != "" {
			what = fmt.Sprintf("list %q", a.List)
		}
		fmt.Fprintf(table, "  DNS       %s\n", what)
		for _, s := range a.Steps {
			fmt.Fprintln(table, strings.TrimRight(fmt.Sprintf("    %s\t%s\t%s\t%s", s.Query, s.Answer, s.Effect, formatSource(s)), "\t"))
		}
		table.Flush()
	}
	if len(r.Answers) > 0 {
		b.WriteString("  answers\n")
	}
	for _, a := range r.Answers {
		fmt.Fprintf(table, "    %s\t%s\t%s\t%s\n", a.Protocol, a.Query, formatReply(a), a.Effect)
	}
	table.Flush()
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
	case lists.ReasonGuard:
		return "no list matches; [guard]: a domain served here may have published MTA-STS or DANE"
	case lists.ReasonObserve:
		return `mode = "observe": decisions have no effect`
	}
	return "internal error; see the log"
}
