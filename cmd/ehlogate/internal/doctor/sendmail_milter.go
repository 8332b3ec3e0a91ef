package doctor

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// sendmailMilter is a milter of Sendmail: a line "Xname, equates" of a .cf, or the macro for one.
type sendmailMilter struct {
	name, text string
	equates    map[string]string // S, F, T; the times of T also as T:C, T:S, T:R and T:E
}

var filterLine = regexp.MustCompile("^X([^\\s,]+)\\s*,(.*)$|^(?:INPUT_)?MAIL_FILTER\\(`([^']*)'\\s*,\\s*`([^']*)'")

func (s *Sendmail) milters() (out []sendmailMilter) {
	for _, l := range s.lines {
		m := filterLine.FindStringSubmatch(l.text)
		if m == nil {
			continue
		}
		f := sendmailMilter{name: m[1] + m[3], text: l.text, equates: map[string]string{}}
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

// checkSendmailMilters examines the milters of Sendmail that are ehlogate. Macros need no check: ehlogate negotiates
// them.
func (e *exam) checkSendmailMilters() {
	s := e.sendmail
	for _, f := range s.milters() {
		p, _, ok := socketMap{addr: f.equates["S"]}.endpoint()
		proto := e.daemon.protocolAt(p)
		if !ok || proto == "" {
			continue
		}
		at := Place{File: s.name, Parameter: "X" + f.name, Value: f.text}
		write := Write{s.name, []string{fmt.Sprintf("INPUT_MAIL_FILTER(`%s', `S=%s, T=C:2s;S:2s;R:2s')", f.name, f.equates["S"])}}
		if !s.mc {
			write.Lines = []string{fmt.Sprintf("X%s, S=%s, T=C:2s;S:2s;R:2s", f.name, f.equates["S"])}
		}
		if proto != milterProto {
			e.wrongListener(p, milterProto, proto, at)
			continue
		}
		if action := f.equates["F"]; action != "" {
			e.addHazard("milter-default-action", at, fmt.Sprintf("while ehlogate is unreachable, every client is refused (F=%s)", action),
				milterPurpose+" Without F=, mail is accepted then.", write)
		}
		e.checkDNSWait("Sendmail", f.equates["T:R"], at, Warning, "The decision of ehlogate is then neither logged nor enforced.")
		if slices.ContainsFunc([]string{"C", "S", "R"}, func(wait string) bool { return f.equates["T:"+wait] == "" || isSlow(f.equates["T:"+wait]) }) {
			e.addWarning("milter-slow", at, milterSlow,
				"With its defaults, while ehlogate hangs, Sendmail waits 5 minutes for a connection, and 10 s for each answer.", write)
		}
		e.probe(p, milterProto, at, Warning)
	}
}
