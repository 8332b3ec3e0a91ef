package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/cmd/ehlogate/internal/httpapi"
	"ehlogate/lists/fallback"
	"ehlogate/lists/printable"
)

// fallbackText returns the text of "ehlogate fallback list".
func fallbackText(r *httpapi.Learned) string {
	var b strings.Builder
	f := r.Fallback
	followed := formatSpan(seconds(r.Status.Followed))
	if r.Status.Enforces {
		fmt.Fprintf(&b, "logs followed for %s\n", followed)
	} else {
		fmt.Fprintf(&b, "logs followed for %s: the list observes until that is %s, whatever its mode\n", followed, formatSpan(seconds(r.Status.EnforcesAfter)))
	}
	writeEffects(&b, "", r.Lists)
	if r.Status.IsDegraded() {
		fmt.Fprintf(&b, "degraded: %s\n", printable.Escape(r.Status.Error))
	}
	if f.Breaker.Open {
		fmt.Fprintf(&b, "breaker open, nothing is learned for another %s: %s\n", formatSpan(f.Breaker.Rest), printable.Escape(f.Breaker.Reason))
	}
	fmt.Fprintf(&b, "%d of at most %d entries; they decided %d of at most %d sessions of this hour\n",
		f.Cap.Entries, f.Cap.MaxEntries, f.Cap.Suppressed, f.Cap.Allowed)
	fmt.Fprintf(&b, "%d clients with failures, %d immune, %d left alone\n", f.Evidence, f.Immune, f.LeftAlone)
	for i := range f.Entries {
		b.WriteByte('\n')
		writeEntry(&b, &f.Entries[i])
	}
	if len(f.Advice) > 0 {
		b.WriteString("\nwhat would help instead:\n")
		for _, a := range f.Advice {
			fmt.Fprintf(&b, "  %s: %s\n", formatCount(a.Clients, "client", "clients"), printable.Escape(a.Text))
		}
	}
	if len(f.Candidates) > 0 {
		b.WriteString("\nnot learned (ehlogate fallback show ADDR has more):\n")
		for i := range f.Candidates {
			c := &f.Candidates[i]
			fmt.Fprintf(&b, "  %s: %s: %s\n", nameClient(c.Client.String(), c.Name), evidenceOf(&fallback.ClientReport{Evidence: c.Evidence}), printable.Escape(strings.Join(c.NotLearned, "; ")))
		}
	}
	return b.String()
}

// fallbackClientText returns the text of "ehlogate fallback show".
func fallbackClientText(reply *httpapi.LearnedClient) string {
	var b strings.Builder
	r := reply.Fallback
	if r.Entry != nil {
		writeEntry(&b, r.Entry)
		writeEffects(&b, "  ", slices.DeleteFunc(reply.Lists, func(l httpapi.LearnedList) bool { return l.Action != r.Entry.Action }))
		if reply.Observes {
			b.WriteString("  the list only observes until logs have been followed for longer\n")
		}
	} else {
		fmt.Fprintf(&b, "%s: no entry\n", nameClient(r.Client.String(), r.Name))
		writeEvidence(&b, r.Evidence)
		for _, why := range r.NotLearned {
			fmt.Fprintf(&b, "  not learned: %s\n", printable.Escape(why))
		}
	}
	if r.Immune != "" {
		fmt.Fprintf(&b, "  immune for another %s: %s\n", formatSpan(r.ImmuneFor), printable.Escape(r.Immune))
	}
	if r.LeftAlone != "" {
		fmt.Fprintf(&b, "  left alone: %s\n", printable.Escape(r.LeftAlone))
	}
	return b.String()
}

// writeEffects says which fallback lists are in force.
func writeEffects(b *strings.Builder, indent string, all []httpapi.LearnedList) {
	for _, l := range all {
		if l.Learn != string(config.LearnFallback) {
			continue
		}
		effect := "in force"
		if !l.Enforced {
			effect = "observes: its entries change nothing"
		}
		fmt.Fprintf(b, "%slist %q (%s): %s\n", indent, l.Name, l.Action, effect)
	}
}

func writeEntry(b *strings.Builder, e *fallback.EntryReport) {
	fmt.Fprintf(b, "%s: %s", nameClient(e.Client.String(), e.Name), e.Action)
	if e.Until.IsZero() {
		fmt.Fprintf(b, ", %s: one more failure brings it back\n", e.State)
	} else {
		fmt.Fprintf(b, " until %s\n", formatMinute(e.Until))
	}
	writeEvidence(b, e.Evidence)
	fmt.Fprintf(b, "  since %s: %s decided by it, %s delivered, %s, confirmed %s\n", formatMinute(e.Made),
		formatCount(e.Sessions, "session", "sessions"), formatCount(e.Messages, "message", "messages"),
		formatCount(e.Probes, "probe", "probes"), formatCount(e.Confirmations, "time", "times"))
	fmt.Fprintf(b, "  ends by %s; for good %s\n", printable.Escape(e.Frees), formatMinute(e.LastUntil))
}

// writeEvidence writes failures, each with the line of the log that tells the reason, if that is known.
func writeEvidence(b *strings.Builder, all []fallback.Proof) {
	for _, p := range all {
		fmt.Fprintf(b, "  evidence: %s\n", describeProof(p))
		if p.Line != "" {
			fmt.Fprintf(b, "    log: %s\n", printable.Escape(p.Line))
		}
	}
}

func describeProof(p fallback.Proof) string {
	text := fmt.Sprintf("%s %s (%s", formatMinute(p.Time), p.Class, p.Server)
	if p.Service != "" {
		text += ", " + printable.Escape(p.Service)
	}
	return text + ")"
}

// fallbackListFile returns the entries that are in force as a list file.
func fallbackListFile(f *fallback.Report) string {
	var b strings.Builder
	b.WriteString("# what ehlogate learned of clients whose TLS is broken\n")
	for i := range f.Entries {
		e := &f.Entries[i]
		if e.Until.IsZero() {
			continue
		}
		note := evidenceOf(&fallback.ClientReport{Entry: e, Name: e.Name})
		fmt.Fprintf(&b, "%s until=%s  # %s: %s\n", e.Client, e.Until.UTC().Format(time.RFC3339), e.Action, note)
	}
	return b.String()
}

func nameClient(addr, name string) string {
	if name == "" {
		return addr
	}
	return addr + " " + printable.Escape(name)
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// formatSpan returns a time in days and hours, or in less if it is short.
func formatSpan(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%d days %d h", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
	case d >= time.Minute:
		return fmt.Sprintf("%d min", d/time.Minute)
	}
	return fmt.Sprintf("%d s", d/time.Second)
}
