package page

import (
	"fmt"

	"ehlogate/cmd/ehlogate/internal/logs"
	"ehlogate/lists/fallback"
	"ehlogate/lists/maillog"
)

// topClients is how many clients of a class are named.
const topClients = 3

// outcomeAdvice says what would help clients that fail, by what their failure means.
var outcomeAdvice = map[maillog.Outcome]string{
	maillog.OutcomePlaintextClient:   "the client cannot do STARTTLS: hide it from the client (a fallback list learns that)",
	maillog.OutcomeScanner:           "no mail server: nothing to do",
	maillog.OutcomeCertRejected:      "mend your certificate; without STARTTLS these clients would most likely send nothing",
	maillog.OutcomeCertRejectedLater: "mend your certificate; without STARTTLS these clients would most likely send nothing",
	maillog.OutcomeTransient:         "the connection failed: nothing to do, unless it goes on",
	maillog.OutcomeAttackOrBroken:    "data was changed on the way, or TLS downgraded: look at the network of the client",
	maillog.OutcomeAmbiguous:         "the log does not tell why: look at one session with tcpdump",
	maillog.OutcomeLocal:             "your server could not do TLS: look at its certificate, key, limits and log",
}

func adviseClass(f *logs.FailingClass) string {
	if f.Outcome == maillog.OutcomeIncapable {
		return fallback.DescribeRemedy(f.Class)
	}
	return outcomeAdvice[f.Outcome]
}

func (v *view) addFailing() {
	service := v.snapshot.Logs
	if service == nil {
		v.Unused = append(v.Unused, "[logs]")
		return
	}
	t := newTable("Clients with which TLS failed on port 25", "Why", "number:Clients", "number:Times", "Last", "code:Most often", "wide:What would help")
	classes := service.Failing(topClients)
	for i := range classes {
		f := &classes[i]
		top := cell{}
		for _, c := range f.Top {
			line := fmt.Sprintf("%s ×%s", c.Addr, groupDigits(c.Count))
			if c.Name != "" {
				line = fmt.Sprintf("%s (%s) ×%s", c.Addr, c.Name, groupDigits(c.Count))
			}
			if c.Worked {
				line += ", TLS worked too"
			}
			top.Lines = append(top.Lines, line)
		}
		v.add(t, cell{Text: f.Class.String(), Lines: []string{f.Outcome.String()}}, number(f.Clients), number(f.Count), v.age(f.Last), top, cell{Text: adviseClass(f)})
	}
	lead := []string{"TLS failed with no client that is remembered."}
	if len(classes) > 0 {
		lead = nil
	}
	counts := service.Counts()
	lead = append(lead, v.say("%s remembered from the logs.", count(counts.Clients, "client")))
	sources := newTable("Logs that are read", "code:Log", "State", "number:Lines", "number:Not understood", "Behind", "wide:Last error")
	for _, s := range service.Status() {
		behind := "no"
		if s.Lag > 0 {
			behind = fmt.Sprintf("%.0f s", s.Lag)
		}
		n := counts.Lines[s.Source]
		v.add(sources, cell{Text: s.Source}, cell{Text: s.State, State: s.State}, number(n.All), number(n.Unread), cell{Text: behind}, v.errorCell(s.Error, s.Since))
	}
	v.addSection(section{ID: "failing", Title: "Clients that fail at TLS", Lead: lead, Tables: []*table{t, sources}})
}
