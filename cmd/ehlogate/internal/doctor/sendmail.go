package doctor

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Sendmail is its configuration: a .cf, or the .mc that one is made from. No program of Sendmail prints its maps and
// milters.
type Sendmail struct {
	name  string
	mc    bool
	lines []line
}

// ReadSendmail reads the configuration in a file.
func ReadSendmail(name string) (*Sendmail, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	if len(data) == 0 {
		return nil, errors.New(name + " is empty: name the .mc or .cf that Sendmail uses")
	}
	return ParseSendmail(name, string(data)), nil
}

// ParseSendmail reads a configuration of Sendmail. Its name tells which of the two it is.
func ParseSendmail(name, text string) *Sendmail {
	s := &Sendmail{name: name, mc: strings.HasSuffix(name, ".mc")}
	for _, l := range logicalLines(text) {
		if s.mc {
			l.text, _, _ = strings.Cut(l.text, "dnl")
		}
		if l.text = strings.TrimSpace(l.text); l.text != "" {
			s.lines = append(s.lines, l)
		}
	}
	return s
}

var socketMap = regexp.MustCompile(`^K\s*(\S+)\s+socket\s+((?:-\S+\s+)*)(\S+)`)

// The flags of a map: what it returns while ehlogate is unreachable, and the timeout.
var (
	tempfailFlag = regexp.MustCompile(`-T\S`)
	timeoutFlag  = regexp.MustCompile(`-d\S*`)
)

// checkSendmailMaps examines how the ruleset Local_srv_features queries ehlogate.
func (e *exam) checkSendmailMaps() {
	s, asked := e.sendmail, false
	for _, l := range s.lines {
		m := socketMap.FindStringSubmatch(l.text)
		if m == nil {
			continue
		}
		name, flags, addr := m[1], m[2], m[3]
		p := parseSendmailAddress(addr)
		proto := e.protocolAt(p)
		if proto == "" {
			continue
		}
		asked = true
		at := Place{File: s.name, Parameter: "K" + name, Value: l.text}
		if proto != socketmapProto {
			e.addWrongListener(p, socketmapProto, proto, at)
			continue
		}
		write := Write{s.name, []string{"Ksrv_features socket -T<TMPF> -d2 " + addr}}
		if name != "srv_features" {
			e.add(Hazard, "sendmail-map-name", at, fmt.Sprintf("wrong map name %q in the query", name),
				"Sendmail sends the name of the map. The map of ehlogate for Sendmail is \"srv_features\". For another name it returns nothing: no client is suppressed.", write)
		}
		if !tempfailFlag.MatchString(flags) {
			e.add(Hazard, "sendmail-tempfail", at, "without -T, a failure of the map is a failure of the session",
				"While ehlogate is unreachable, clients get 451 instead of the banner. With -T the rules continue, and offer STARTTLS.", write)
		}
		timeout := strings.TrimPrefix(timeoutFlag.FindString(flags), "-d")
		e.checkDNSWait("Sendmail", timeout, at, Hazard, "Such a client gets 451 in place of the banner, whatever the flags of the map.")
		if timeout == "" || isSlow(timeout) {
			e.add(Warning, "sendmail-slow", at, "every banner waits long while ehlogate hangs",
				"Without -d it waits 30 s. Two seconds are enough for a daemon on the same machine.", write)
		}
		if p.network == "unix" {
			e.add(Warning, "sendmail-local-socket", at, "a missing socket file is worse than an unreachable daemon",
				"If the file is missing, or others may write to a directory above it, clients get 451 instead of the banner, and -T does not help. TCP on loopback has no such case.")
		}
		e.probe(p, socketmapProto, at, Warning)
	}
	if !asked {
		e.add(Note, "ehlogate-not-queried", Place{File: s.name}, "Sendmail does not query ehlogate", "No socket map names an address of "+e.file+".")
		return
	}
	if port, daemon := s.submissionDaemon(); port != "" && !slices.ContainsFunc(s.lines, func(l line) bool { return tellsDaemons.MatchString(l.text) }) {
		e.add(Hazard, "submission-queries", Place{File: s.name, Parameter: "DaemonPortOptions", Value: port}, submissionAsks,
			"The ruleset runs for every daemon. A suppressed client sends its password in the clear on port 587, or cannot send at all.",
			Write{s.name + ", as the first rules of Local_srv_features", []string{"R$*\t\t$: $&{daemon_name}", "R" + daemon + "\t\t$@ OK"}})
	}
}

var (
	tellsDaemons   = regexp.MustCompile(`^R.*\{daemon_(name|port)\}`) // a rule that distinguishes daemons
	daemonLine     = regexp.MustCompile(`(?i)^O\s*DaemonPortOptions\s*=(.*)|DAEMON_OPTIONS\((.*)`)
	submissionPort = regexp.MustCompile(`(?i)\bPort=(587|submission)\b`)
	loopback       = regexp.MustCompile(`(?i)\bAddr(ess)?=(127\.|::1\b|localhost\b)`)
	daemonName     = regexp.MustCompile(`(?i)\bName=([^,'\s]+)`)
)

// submissionDaemon returns where submission is served to other machines, and the name of that daemon; empty if it is
// not.
func (s *Sendmail) submissionDaemon() (port, daemon string) {
	whole, msa := false, s.mc // a whole .mc makes a daemon for submission by itself
	for _, l := range s.lines {
		if daemonLine.MatchString(l.text) && submissionPort.MatchString(l.text) && !loopback.MatchString(l.text) {
			daemon = "MSA"
			if m := daemonName.FindStringSubmatch(l.text); m != nil {
				daemon = m[1]
			}
			return l.text, daemon
		}
		whole = whole || strings.HasPrefix(l.text, "OSTYPE(")
		msa = msa && !strings.Contains(l.text, "no_default_msa")
	}
	if whole && msa {
		return "(the MSA that is made without FEATURE(`no_default_msa'))", "MSA"
	}
	return "", ""
}

// parseSendmailAddress understands inet:PORT@HOST and local:PATH. Another address is no endpoint of ehlogate.
func parseSendmailAddress(addr string) endpoint {
	transport, rest, _ := strings.Cut(addr, ":")
	port, host, isTCP := strings.Cut(rest, "@")
	switch {
	case (transport == "inet" || transport == "inet6") && isTCP:
		return endpoint{network: "tcp", addr: net.JoinHostPort(strings.Trim(host, "[]"), port)}
	case (transport == "local" || transport == "unix") && path.IsAbs(rest):
		return endpoint{network: "unix", addr: path.Clean(rest), path: rest}
	}
	return endpoint{}
}

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
