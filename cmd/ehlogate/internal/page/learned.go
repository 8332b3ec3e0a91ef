package page

import (
	"context"
	"fmt"
	"strings"
	"time"

	"ehlogate/cmd/ehlogate/internal/httpapi"
	"ehlogate/lists/earned"
	"ehlogate/lists/fallback"
)

// maxEvidence is how many failures of an entry are shown.
const maxEvidence = 3

func (v *view) addLearned(ctx context.Context) {
	service := v.snapshot.Learn
	if service == nil {
		v.Unused = append(v.Unused, "lists that learn")
		return
	}
	t := newTable("Lists that learn", "List", "Learns", "Does", "Effect", "number:Clients")
	described := httpapi.DescribeLearnedLists(v.snapshot)
	for i, l := range described {
		effect := "takes effect"
		if !l.Enforced {
			effect = "observes"
		}
		v.add(t, cell{Text: l.Name}, cell{Text: l.Learn}, cell{Text: l.Action}, cell{Text: effect}, number(v.countLearned(described[i].Name)))
	}
	s := section{ID: "learned", Title: "Learned", Tables: []*table{t}}
	status := service.Status()
	if !status.Enforces && status.EnforcesAfter > 0 {
		s.Lead = append(s.Lead, v.say("Logs have been followed for %s; fallback lists take effect after %s.", describeSpan(seconds(status.Followed)), describeSpan(seconds(status.EnforcesAfter))))
	}
	report, err := service.Report(ctx)
	if err != nil {
		s.Lead = append(s.Lead, v.say("Entries are not known: %v", err))
	}
	if f := report.Fallback; f != nil {
		v.addFallback(&s, f)
	}
	if e := report.Earned; e != nil {
		v.addEarned(&s, e)
	}
	v.addSection(s)
}

func seconds(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }

func (v *view) countLearned(list string) int {
	for i := range v.lists {
		if v.lists[i].Name == list {
			return v.lists[i].Entries
		}
	}
	return 0
}

func (v *view) addFallback(s *section, f *fallback.Report) {
	s.Lead = append(s.Lead, v.say("Fallback: %s of at most %s, %s with failures and no entry, %s that TLS worked with.", describeEntries(f.Cap.Entries), groupDigits(f.Cap.MaxEntries),
		count(max(f.Evidence-len(f.Entries), 0), "client"), groupDigits(f.Immune)))
	if f.Breaker.Open {
		s.Lead = append(s.Lead, v.say("Nothing is learned at present: %s", f.Breaker.Reason))
	}
	entries := newTable("Clients of fallback lists, with their evidence", "code:Client", "Does", "Why", "State", "Ends", "wide:Evidence", "wide:What ends it")
	for i := range f.Entries {
		e := &f.Entries[i]
		until := e.Until
		if until.IsZero() {
			until = e.LastUntil
		}
		client := cell{Text: e.Client.String()}
		if e.Name != "" {
			client.Lines = []string{e.Name}
		}
		v.add(entries, client, cell{Text: e.Action}, cell{Text: e.Class}, cell{Text: e.State}, v.age(until), v.evidenceCell(e.Evidence), cell{Text: e.Frees})
	}
	candidates := newTable("Clients with failures, and why they have no entry", "code:Client", "wide:Evidence", "wide:Why it has no entry")
	for i := range f.Candidates {
		c := &f.Candidates[i]
		client := cell{Text: c.Client.String()}
		if c.Name != "" {
			client.Lines = []string{c.Name}
		}
		v.add(candidates, client, v.evidenceCell(c.Evidence), cell{Text: strings.Join(c.NotLearned, "; ")})
	}
	s.Tables = append(s.Tables, entries, candidates)
}

func (v *view) evidenceCell(all []fallback.Proof) (c cell) {
	for _, p := range all[:min(len(all), maxEvidence)] {
		c.Lines = append(c.Lines, fmt.Sprintf("%s %s (%s)", p.Time.Local().Format("2006-01-02 15:04"), p.Class, p.Server))
	}
	if more := len(all) - len(c.Lines); more > 0 {
		c.Lines = append(c.Lines, fmt.Sprintf("and %s more", groupDigits(more)))
	}
	return c
}

func (v *view) addEarned(s *section, e *earned.Report) {
	s.Lead = append(s.Lead, v.say("Earned: %s of %s.", count(e.Clients, "client"), count(e.Records, "record")))
	t := newTable("Clients that earned an offer, those with most sessions first", "code:Client", "Since", "Ends", "number:Days", "number:Sessions", "number:Rejected")
	for i := range e.Top {
		c := &e.Top[i]
		v.add(t, cell{Text: c.Client}, v.age(c.Since), v.age(c.Until), number(c.Days), number(c.Sessions), number(c.Rejected))
	}
	s.Tables = append(s.Tables, t)
}
