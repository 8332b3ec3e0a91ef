package replay

import (
	"fmt"
	"strings"

	"ehlogate/lists"
	"ehlogate/lists/maillog"
	"ehlogate/lists/printable"
)

// meanings explains the outcomes of failures, as ehlogate(8) does.
var meanings = map[string]string{
	maillog.OutcomeScanner.String():           "failed in several ways within a minute, or spoke HTTP: no mail server",
	maillog.OutcomeIncapable.String():         "no version, cipher, group or signature in common with your server",
	maillog.OutcomePlaintextClient.String():   "said STARTTLS, and went on in the clear",
	maillog.OutcomeCertRejected.String():      "does not accept your certificate",
	maillog.OutcomeCertRejectedLater.String(): "does not accept your certificate, which it said after the handshake",
	maillog.OutcomeAttackOrBroken.String():    "data was changed on the way, or TLS downgraded",
	maillog.OutcomeTransient.String():         "the connection was lost, reset or timed out",
	maillog.OutcomeAmbiguous.String():         "the log does not tell why",
}

// Text returns the report for a terminal: advice first, then the numbers, then the clients that they are about.
func (r *Report) Text() string {
	var b strings.Builder
	for _, a := range r.Advice {
		fmt.Fprintf(&b, "* %s\n", a)
	}
	if len(r.Advice) > 0 {
		b.WriteByte('\n')
	}
	row := func(label string, n int64, format string, args ...any) {
		line := fmt.Sprintf("%-28s %11s   "+format, append([]any{label, thousands(n)}, args...)...)
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	row("sessions on port 25", r.Port25.Sessions, "%s, %s with TLS", plural(r.Port25.Clients, "client"), percent(r.Port25.TLS, r.Port25.Sessions))
	if !r.From.IsZero() {
		fmt.Fprintf(&b, "%-28s %11s   %s to %s\n", "", "", stampText(r.From), stampText(r.To))
	}
	if r.Port25.NotOffered > 0 {
		row("  STARTTLS was hidden", r.Port25.NotOffered, "")
	}
	s := &r.Suppressed
	by := ""
	for _, share := range s.By {
		by += ", " + share.text() + " " + thousands(share.Sessions)
	}
	row("would be suppressed", s.Sessions, "%s, %s%s", percent(s.Sessions, r.Port25.Sessions), plural(s.Clients, "client"), by)
	if s.Sessions > 0 {
		warning := ""
		if s.TLSMail.Clients > 0 {
			warning = "   <- would go in the clear: listed below"
		}
		row("  delivered mail over TLS", s.TLSMail.Clients, "%s, %s%s", noun(s.TLSMail.Clients, "client"), plural(s.TLSMail.Messages, "message"), warning)
		row("  delivered in the clear", s.ClearMail.Clients, "%s, %s", noun(s.ClearMail.Clients, "client"), plural(s.ClearMail.Messages, "message"))
		row("  delivered nothing", s.NoMail, "%s", noun(s.NoMail, "client"))
		row("handshakes avoided", r.Handshakes.Avoided, "%s of CPU", seconds(r.Handshakes.CPU))
	}
	for _, h := range r.Hidden {
		row("would be hidden", h.Sessions, "%s by list %q%s", strings.ToUpper(strings.Join(h.Keywords, ", ")), h.List, map[lists.Service]string{lists.Submission: " on submission"}[h.Service])
	}
	if r.Overridden > 0 {
		row("kept by the guard", r.Overridden, "would be suppressed, but a domain of [guard] promises STARTTLS, or was never checked")
	}
	if r.Failed.Clients > 0 {
		var outcomes []string
		for _, o := range r.Failed.Outcomes {
			outcomes = append(outcomes, o.Outcome+" "+thousands(o.Clients))
		}
		row("TLS failed", r.Failed.Sessions, "%s: %s", plural(r.Failed.Clients, "client"), strings.Join(outcomes, ", "))
		for _, o := range r.Failed.Outcomes {
			fmt.Fprintf(&b, "  %s: %s\n", o.Outcome, meanings[o.Outcome])
		}
	}
	if l := r.Fallback; l != nil {
		row("learned: cannot do TLS", l.Clients, "%s", l.describe())
	}
	if l := r.Earned; l != nil {
		row("learned: earned the offer", l.Clients, "%s", l.describe())
	}
	listClients(&b, "would send in the clear what they sent over TLS:", s.TLSMail.Top, s.TLSMail.Clients, func(c Client) string {
		return plural(c.Messages, "message")
	})
	listClients(&b, "incapable, never completed TLS:", r.Incapable, r.IncapableClients, func(c Client) string {
		return c.failures() + ", " + c.mail(" in the clear")
	})
	listClients(&b, "reject your certificate:", r.Rejecting, r.RejectingClients, func(c Client) string {
		return c.failures() + ", " + c.mail("")
	})
	if l := r.Fallback; l != nil {
		listClients(&b, "learned, cannot do TLS:", l.Top, l.Clients, Learned.describe)
	}
	if l := r.Earned; l != nil {
		listClients(&b, "learned, earned the offer:", l.Top, l.Clients-l.Ended, Learned.describeEarned)
	}
	writeNotes(&b, r.Notes)
	return b.String()
}

func writeNotes(b *strings.Builder, notes []string) {
	if len(notes) > 0 {
		b.WriteByte('\n')
	}
	for _, n := range notes {
		fmt.Fprintf(b, "note: %s\n", n)
	}
}

// listClients writes clients as a table, and how many more there are.
func listClients[T interface{ id() (addr, name string) }](b *strings.Builder, title string, clients []T, all int64, describe func(T) string) {
	if len(clients) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s\n", title)
	var addrs, names int // widths
	for _, c := range clients {
		addr, name := c.id()
		addrs, names = max(addrs, len(addr)), max(names, len(printable.Escape(name)))
	}
	for _, c := range clients {
		addr, name := c.id()
		fmt.Fprintf(b, "  %-*s  ", addrs, addr)
		if names > 0 {
			fmt.Fprintf(b, "%-*s  ", names, printable.Escape(name))
		}
		b.WriteString(describe(c) + "\n")
	}
	if more := all - int64(len(clients)); more > 0 {
		fmt.Fprintf(b, "  and %s more: --top shows more\n", thousands(more))
	}
}

func (c Client) id() (addr, name string) { return c.Addr, c.Name }

// failures returns how and how often TLS failed.
func (c Client) failures() string {
	class := c.Class
	if c.Others {
		class += " and others"
	}
	return fmt.Sprintf("%s x%d, until %s", class, c.Failures, stampText(c.Last))
}

// mail returns how much mail a client delivered.
func (c Client) mail(how string) string {
	if c.Messages == 0 {
		return "never delivered"
	}
	return plural(c.Messages, "message") + how
}

func (s Share) text() string {
	if s.List != "" {
		return fmt.Sprintf("by list %q", s.List)
	}
	return "by " + s.Reason
}

func percent(n, of int64) string {
	if of == 0 {
		return "0 %"
	}
	return fmt.Sprintf("%.1f %%", 100*float64(n)/float64(of))
}

func seconds(s float64) string {
	if s < 0.1 {
		return "less than 0.1 s"
	}
	return fmt.Sprintf("about %.1f s", s)
}
