package replay

import (
	"fmt"
	"strings"

	"ehlogate/lists/printable"
)

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
		row("  delivered mail over TLS", s.TLSMail.Clients, "%s%s", plural(s.TLSMail.Messages, "message"), warning)
		row("  delivered in the clear", s.ClearMail.Clients, "%s", plural(s.ClearMail.Messages, "message"))
		row("  delivered nothing", s.NoMail, "")
		row("handshakes avoided", r.Handshakes.Avoided, "%s of CPU", seconds(r.Handshakes.CPU))
	}
	if r.Overridden > 0 {
		row("kept by the guard", r.Overridden, "would be suppressed, but a domain promises STARTTLS")
	}
	if r.Failed.Clients > 0 {
		var outcomes []string
		for _, o := range r.Failed.Outcomes {
			outcomes = append(outcomes, o.Outcome+" "+thousands(o.Clients))
		}
		row("TLS failed", r.Failed.Sessions, "%s: %s", plural(r.Failed.Clients, "client"), strings.Join(outcomes, ", "))
	}
	r.listClients(&b, "would send in the clear what they sent over TLS:", s.TLSMail.Top, s.TLSMail.Clients, func(c Client) string {
		return plural(c.Messages, "message")
	})
	r.listClients(&b, "incapable, never completed TLS:", r.Incapable, int64(len(r.Incapable)), func(c Client) string {
		mail := "never delivered"
		if c.Messages > 0 {
			mail = plural(c.Messages, "message") + " in the clear"
		}
		return fmt.Sprintf("%s x%d, until %s, %s", c.Class, c.Failures, stampText(c.Last), mail)
	})
	if len(r.Notes) > 0 {
		b.WriteByte('\n')
	}
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "note: %s\n", n)
	}
	return b.String()
}

func (r *Report) listClients(b *strings.Builder, title string, clients []Client, all int64, describe func(Client) string) {
	if len(clients) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s\n", title)
	for _, c := range clients {
		fmt.Fprintf(b, "  %-39s %-40s %s\n", c.Addr, printable.Escape(c.Name), describe(c))
	}
	if more := all - int64(len(clients)); more > 0 {
		fmt.Fprintf(b, "  and %s more: --top shows more\n", thousands(more))
	}
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
