package tlsreport

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/printable"
	"ehlogate/lists/tlsrpt"
)

// maxLines is how many kinds of failure of one report are shown; --json has all.
const maxLines = 50

// Text returns the report for a terminal: each report, and below it what it means for the policy.
func (r *Report) Text() string {
	var b strings.Builder
	for i := range r.Reports {
		if i > 0 {
			b.WriteByte('\n')
		}
		r.writeSource(&b, &r.Reports[i])
	}
	if len(r.Clients) > 0 {
		b.WriteByte('\n')
		for i := range r.Clients {
			r.Clients[i].writeText(&b)
		}
	}
	for _, note := range r.Notes {
		fmt.Fprintf(&b, "note: %s\n", show(note))
	}
	return b.String()
}

// show returns text that a stranger wrote, in one line and fit to be shown.
func show(s string) string { return printable.Shorten(printable.Escape(s), 300) }

func (r *Report) writeSource(b *strings.Builder, s *Source) {
	fmt.Fprintf(b, "report %s of %s\n", show(cmp.Or(s.ID, "without an id")), show(cmp.Or(s.Organization, "an unnamed organization")))
	fmt.Fprintf(b, "  in      %s\n", show(s.Source))
	if !s.Start.IsZero() {
		fmt.Fprintf(b, "  time    %s to %s\n", stamp(s.Start), stamp(s.End))
	}
	fmt.Fprintf(b, "  sender  %s\n", senderText(s))
	if s.Contact != "" {
		fmt.Fprintf(b, "  contact %s\n", show(s.Contact))
	}
	for _, p := range s.Policies {
		fmt.Fprintf(b, "  %s (%s): %s, %s failed\n", show(cmp.Or(p.Domain, "unnamed domain")), show(cmp.Or(p.Type, "unknown policy")), plural(p.Successes, "session")+" with TLS", thousands(p.Failures))
		for i, d := range p.Details {
			if i == maxLines {
				fmt.Fprintf(b, "    and %s: --json has all\n", plural(int64(len(p.Details)-i), "other kind"))
				break
			}
			writeFailure(b, &d)
		}
	}
	if s.Skipped > 0 {
		fmt.Fprintf(b, "  left out: %s, since there are too many\n", thousands(int64(s.Skipped))+" policies and failures")
	}
}

// senderText says which domain signed a report, and if it is not to be believed, why.
func senderText(s *Source) string {
	switch s.Signature.Result {
	case tlsrpt.Pass:
		if !s.Believed {
			return fmt.Sprintf("%s signed it, but it is NOT BELIEVED", show(s.Signature.Domain))
		}
		return fmt.Sprintf("%s signed it", show(s.Signature.Domain))
	case tlsrpt.Unsigned:
		return "NOT SIGNED, so not believed: " + show(s.Signature.Reason)
	case tlsrpt.Unknown:
		return "SIGNATURE NOT CHECKED, so not believed: " + show(s.Signature.Reason)
	}
	return "WRONG SIGNATURE, so not believed: " + show(s.Signature.Reason)
}

func writeFailure(b *strings.Builder, d *tlsrpt.Failure) {
	fmt.Fprintf(b, "  %9s  %s", thousands(d.Sessions), show(cmp.Or(d.Result, "without a result type")))
	if d.Sender.IsValid() {
		fmt.Fprintf(b, ", from %s", d.Sender)
	}
	if to := cmp.Or(d.MX, d.HELO); to != "" || d.Receiver.IsValid() {
		if d.Receiver.IsValid() {
			to = strings.TrimSpace(to + " [" + d.Receiver.String() + "]")
		}
		fmt.Fprintf(b, " to %s", show(to))
	}
	if why := cmp.Or(d.Reason, d.Info); why != "" {
		fmt.Fprintf(b, ": %s", show(why))
	}
	b.WriteByte('\n')
}

// writeText says what a client of a report means for the policy.
func (c *Client) writeText(b *strings.Builder) {
	mail := fmt.Sprintf("%s of %s's mail to %s", plural(max(c.Sessions, 1), "session"), show(cmp.Or(c.Sender, "an unnamed organization")), show(cmp.Or(c.Domain, "your domain")))
	doubt := ""
	if !c.Believed {
		doubt = ", if the report is true"
	}
	switch {
	case c.IsSuppressed():
		fmt.Fprintf(b, "%s: %s kept %s%s\n", c.Addr, c.cause(), mail, doubt)
		b.WriteString("  to end it: offer STARTTLS to this client, on a list before that one, or remove the entry\n")
	case c.Overridden:
		fmt.Fprintf(b, "%s: %s would keep %s, but [guard] overrides it now%s\n", c.Addr, c.cause(), mail, doubt)
	default:
		fmt.Fprintf(b, "%s: did not see STARTTLS in %s%s; no list on disk hides it from this client (%s)\n", c.Addr, mail, doubt, c.Reason)
	}
	if n := c.Log; n != nil {
		fmt.Fprintf(b, "  in the log at that time: %s", plural(n.Sessions, "session"))
		for _, part := range []struct {
			n    int64
			text string
		}{{n.NotOffered, "without an offer of STARTTLS"}, {n.TLS, "with TLS"}, {n.Failed, "in which TLS failed"}, {n.Accepted, "with accepted mail"}, {n.Clear, "with mail in the clear"}} {
			if part.n > 0 {
				fmt.Fprintf(b, ", %s %s", thousands(part.n), part.text)
			}
		}
		b.WriteByte('\n')
	}
}

// cause names what hides STARTTLS from a client.
func (c *Client) cause() string {
	switch {
	case c.Reason == lists.ReasonLimit.String(), c.Reason == lists.ReasonPressure.String():
		return `your default = "limit"`
	case c.List == "":
		return `your default = "suppress"`
	case c.File == "":
		return fmt.Sprintf("the list %q (%s)", c.List, show(c.Entry))
	}
	note, whose := "", "your"
	if c.external {
		whose = "the"
	}
	if c.Note != "" {
		note = " # " + show(c.Note)
	}
	return fmt.Sprintf("%s line %s:%d (%s%s) of the list %q", whose, c.File, c.Line, show(c.Entry), note, c.List)
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

func plural(n int64, what string) string {
	if n != 1 {
		what += "s"
	}
	return thousands(n) + " " + what
}

// thousands returns a number with commas.
func thousands(n int64) string {
	digits := []byte(strconv.FormatInt(n, 10))
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = slices.Insert(digits, i, ',')
	}
	return string(digits)
}
