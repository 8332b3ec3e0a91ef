// Package explain says what is decided for a client, why, and what each mail
// server is told, which it finds out by asking the protocols themselves.
package explain

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"ehlogate/lists"
	"ehlogate/policyd"
	"ehlogate/policyd/memcache"
	"ehlogate/policyd/socketmap"
	"ehlogate/policyd/tcptable"
)

// Report is a decision as people and programs read it.
type Report struct {
	Client   Client    `json:"client"`
	Decision Verdict   `json:"decision"`
	Observed []Verdict `json:"observed,omitempty"` // what observing lists would have done
	Answers  []Answer  `json:"answers,omitempty"`
}

// Client is lists.Client in words.
type Client struct {
	Addr string `json:"addr,omitempty"`
	Name string `json:"name,omitempty"`
	HELO string `json:"helo,omitempty"`
}

// Verdict is lists.Verdict in words.
type Verdict struct {
	Action lists.Action `json:"action"`
	Reason lists.Reason `json:"reason"`
	List   string       `json:"list,omitempty"`
	Entry  string       `json:"entry,omitempty"`
	File   string       `json:"file,omitempty"`
	Line   int          `json:"line,omitempty"`
	Until  *time.Time   `json:"until,omitempty"`
	Note   string       `json:"note,omitempty"`
}

// Answer is what a mail server is told.
type Answer struct {
	Protocol string `json:"protocol"`
	Question string `json:"question"`
	Reply    string `json:"reply"`
	Means    string `json:"means"` // in the mail server
}

// Decision puts d into words.
func Decision(c lists.Client, d lists.Decision) Report {
	r := Report{Client: Client{Name: c.Name, HELO: c.HELO}, Decision: verdict(d.Verdict)}
	if c.Addr.IsValid() {
		r.Client.Addr = c.Addr.String()
	}
	for _, v := range d.Observed {
		r.Observed = append(r.Observed, verdict(v))
	}
	return r
}

func verdict(v lists.Verdict) Verdict {
	e := v.Entry()
	out := Verdict{Action: v.Action, Reason: v.Reason, Entry: e.Text, File: e.File, Line: e.Line, Note: e.Note}
	if v.List != nil {
		out.List = v.List.Name
	}
	if !e.Until.IsZero() {
		out.Until = &e.Until
	}
	return out
}

// Ask makes the report for a client whose address is known, with the answers
// of all protocols.
func Ask(ctx context.Context, c lists.Client, decider policyd.Decider, words func() *policyd.Words) Report {
	r := Decision(c, decider.Decide(ctx, c))
	b := policyd.Backend{Decider: decider, Words: words, Fault: func(string, []byte) {}}
	add := func(name string, p policyd.Protocol, frame, question, hidden, shown string) {
		_, out, _ := p.Answer(ctx, []byte(frame), nil)
		reply, means := string(out), shown
		if suppresses(name, reply) {
			means = hidden
		}
		r.Answers = append(r.Answers, Answer{name, question, strings.TrimRight(reply, "\r\n"), means})
	}
	addr := c.Addr.String()
	mc, sm, tt := &memcache.Server{Backend: b}, &socketmap.Server{Backend: b}, &tcptable.Server{Backend: b}
	netstring := func(s string) string { return fmt.Sprintf("%d:%s,", len(s), s) }
	backup := ", if its backup agrees"
	if words().Offer != "" {
		backup = ""
	}
	q := "starttls:" + addr
	add("memcache", mc, "get "+q+"\r\n", q, "Postfix hides STARTTLS", "Postfix offers STARTTLS"+backup)
	if c.HELO != "" {
		q = "helo:" + c.HELO
		add("memcache", mc, "get "+q+"\r\n", q, "Postfix hides every keyword", "Postfix leaves EHLO alone")
	}
	q = "starttls " + addr
	add("socketmap", sm, netstring(q), q, "Postfix hides STARTTLS", "Postfix offers STARTTLS")
	q = "srv_features " + strings.TrimSpace(addr+" "+c.Name)
	add("socketmap", sm, netstring(q), q, "Sendmail hides STARTTLS", "Sendmail offers STARTTLS")
	q = strings.TrimSuffix(addr+"%20"+c.HELO, "%20")
	add("tcp_table", tt, "get "+q+"\n", "get "+q, "Exim and Postfix hide STARTTLS", "Exim and Postfix offer STARTTLS")
	return r
}

// suppresses reads a reply as the mail server does.
func suppresses(protocol, reply string) bool {
	switch protocol {
	case "memcache":
		return strings.HasPrefix(reply, "VALUE ") && !strings.Contains(reply, "silent-discard")
	case "socketmap":
		return strings.Contains(reply, ":OK ")
	}
	return strings.HasPrefix(reply, "200 ")
}

// Text is the report for a terminal.
func (r Report) Text() string {
	var b strings.Builder
	who := r.Client.Addr
	for _, name := range []struct{ what, s string }{{"name", r.Client.Name}, {"HELO", r.Client.HELO}} {
		if name.s != "" {
			who += fmt.Sprintf(" (%s %s)", name.what, name.s)
		}
	}
	fmt.Fprintf(&b, "%s: %s\n", strings.TrimSpace(who), r.Decision.Action)
	fmt.Fprintf(&b, "  because   %s\n", because(r.Decision))
	details(&b, r.Decision)
	for _, v := range r.Observed {
		if r.Decision.Reason == lists.ReasonObserve {
			fmt.Fprintf(&b, "  would be  %s: %s\n", v.Action, because(v))
		} else {
			fmt.Fprintf(&b, "  observed  %s, if list %q did not merely observe: %s\n", v.Action, v.List, because(v))
		}
		details(&b, v)
	}
	if len(r.Answers) > 0 {
		b.WriteString("  answers\n")
	}
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, a := range r.Answers {
		fmt.Fprintf(table, "    %s\t%s\t%s\t%s\n", a.Protocol, a.Question, value(a), a.Means)
	}
	table.Flush()
	return b.String()
}

// value is the part of a reply that a reader wants to see.
func value(a Answer) string {
	lines := strings.Split(a.Reply, "\r\n")
	if a.Protocol == "memcache" && len(lines) == 3 {
		return fmt.Sprintf("%q", lines[1])
	}
	return fmt.Sprintf("%q", a.Reply)
}

func details(b *strings.Builder, v Verdict) {
	if v.Note != "" {
		fmt.Fprintf(b, "  note      %s\n", v.Note)
	}
	if v.Until != nil {
		fmt.Fprintf(b, "  until     %s\n", v.Until.Format(time.RFC3339))
	}
}

func because(v Verdict) string {
	switch v.Reason {
	case lists.ReasonListed:
		return fmt.Sprintf("%s in list %q, %s:%d", v.Entry, v.List, v.File, v.Line)
	case lists.ReasonDefault:
		return "no list holds it, and this is the default"
	case lists.ReasonUnloaded:
		return fmt.Sprintf("list %q is not loaded and might hold it", v.List)
	case lists.ReasonNoAddress:
		return "no list holds it, and the default is for addresses"
	case lists.ReasonObserve:
		return `mode = "observe": nothing is changed for anybody`
	}
	return "a fault inside ehlogate; see the log"
}
