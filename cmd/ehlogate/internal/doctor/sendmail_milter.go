package doctor

import (
	"fmt"
	"regexp"
	"strings"
)

// filter is a milter of Sendmail: a line "Xname, equates" of a .cf, or the macro that makes one.
type filter struct {
	name, text string
	equates    map[string]string // S, F, T; the last is split up: C, S, R, E behind "T:"
}

var filterLine = regexp.MustCompile("^X([^\\s,]+)\\s*,(.*)$|^(?:INPUT_)?MAIL_FILTER\\(`([^']*)'\\s*,\\s*`([^']*)'")

func (s *Sendmail) filters() (out []filter) {
	for _, l := range s.lines {
		m := filterLine.FindStringSubmatch(l.text)
		if m == nil {
			continue
		}
		f := filter{name: m[1] + m[3], text: l.text, equates: map[string]string{}}
		for word := range strings.SplitSeq(m[2]+m[4], ",") {
			key, value, _ := strings.Cut(strings.TrimSpace(word), "=")
			f.equates[key] = value
			if key == "T" {
				for t := range strings.SplitSeq(value, ";") {
					what, limit, _ := strings.Cut(strings.TrimSpace(t), ":")
					f.equates["T:"+what] = limit
				}
			}
		}
		out = append(out, f)
	}
	return out
}

// sendmailMilters looks over the milters of Sendmail that are ehlogate. There is nothing to say about macros: it asks for
// those that it needs.
func (e *exam) sendmailMilters(s *Sendmail) {
	for _, f := range s.filters() {
		p, _, ok := socketMap{addr: f.equates["S"]}.endpoint()
		proto := e.gate.protocolAt(p)
		if !ok || proto == "" {
			continue
		}
		at := Place{File: s.name, Parameter: "X" + f.name, Value: f.text}
		write := Write{s.name, []string{fmt.Sprintf("INPUT_MAIL_FILTER(`%s', `S=%s, T=C:2s;S:2s;R:2s')", f.name, f.equates["S"])}}
		if !s.mc {
			write.Lines = []string{fmt.Sprintf("X%s, S=%s, T=C:2s;S:2s;R:2s", f.name, f.equates["S"])}
		}
		if proto != milterProto {
			e.add(Finding{
				ID: "wrong-listener", Severity: Hazard, Place: at,
				What: fmt.Sprintf("%s is asked in the protocol of milters, and speaks that of %s", p, proto),
				Why:  "No question is understood. For milters, ehlogate is configured to listen on " + list(e.gate.listeners(milterProto)) + ".",
			})
			continue
		}
		if action := f.equates["F"]; action != "" {
			e.add(Finding{
				ID: "milter-default-action", Severity: Hazard, Place: at,
				What:  fmt.Sprintf("while ehlogate is away, every client is refused (F=%s)", action),
				Why:   "The milter is to log and to enforce, not to stop mail. Without F=, mail flows then.",
				Write: write,
			})
		}
		e.late("Sendmail", f.equates["T:R"], at, Warning, "What was decided is then neither logged nor enforced.")
		for _, wait := range []string{"C", "S", "R"} {
			if limit := f.equates["T:"+wait]; limit == "" || tooSlow(limit) {
				e.add(Finding{
					ID: "milter-slow", Severity: Warning, Place: at,
					What:  "clients wait for the milter longer than they have to",
					Why:   "By default Sendmail waits 5 minutes for a connection, and 10 s for each answer, while ehlogate hangs.",
					Write: write,
				})
				break
			}
		}
		e.probe(p, milterProto, at, Warning)
	}
}
