package doctor

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// filterLine finds a milter of Sendmail, its name and its equates: "Xname, equates" of a .cf, or the macro for one.
var filterLine = regexp.MustCompile("^X([^\\s,]+)\\s*,(.*)$|^(?:INPUT_)?MAIL_FILTER\\(`([^']*)'\\s*,\\s*`([^']*)'")

// parseEquates returns the equates S, F and T of a milter; the times of T as C, S, R and E behind "T:".
func parseEquates(text string) map[string]string {
	equates := make(map[string]string)
	for word := range strings.SplitSeq(text, ",") {
		key, value, _ := strings.Cut(strings.TrimSpace(word), "=")
		equates[key] = value
		if key == "T" {
			for t := range strings.SplitSeq(value, ";") {
				what, limit, _ := strings.Cut(strings.TrimSpace(t), ":")
				equates["T:"+what] = limit
			}
		}
	}
	return equates
}

// checkSendmailMilters examines the milters of Sendmail that are ehlogate. Macros need no check: ehlogate negotiates
// them.
func (e *exam) checkSendmailMilters() {
	s := e.sendmail
	for _, l := range s.lines {
		m := filterLine.FindStringSubmatch(l.text)
		if m == nil {
			continue
		}
		name, equates := m[1]+m[3], parseEquates(m[2]+m[4])
		p := parseSendmailAddress(equates["S"])
		proto := e.protocolAt(p)
		if proto == "" {
			continue
		}
		at := Place{File: s.name, Parameter: "X" + name, Value: l.text}
		advice := "X%s, S=%s, T=C:2s;S:2s;R:2s"
		if s.mc {
			advice = "INPUT_MAIL_FILTER(`%s', `S=%s, T=C:2s;S:2s;R:2s')"
		}
		write := Write{s.name, []string{fmt.Sprintf(advice, name, equates["S"])}}
		if proto != milterProto {
			e.addWrongListener(p, milterProto, proto, at)
			continue
		}
		if action := equates["F"]; action != "" {
			e.add(Hazard, "milter-default-action", at, fmt.Sprintf("while ehlogate is unreachable, every client is refused (F=%s)", action),
				milterPurpose+" Without F=, mail is accepted then.", write)
		}
		e.checkDNSWait("Sendmail", equates["T:R"], at, Warning, "The decision of ehlogate is then neither logged nor enforced.")
		if slices.ContainsFunc([]string{"C", "S", "R"}, func(wait string) bool { return equates["T:"+wait] == "" || isSlow(equates["T:"+wait]) }) {
			e.add(Warning, "milter-slow", at, milterSlow,
				"With its defaults, while ehlogate hangs, Sendmail waits 5 minutes for a connection, and 10 s for each answer.", write)
		}
		e.probe(p, milterProto, at, Warning)
	}
}
