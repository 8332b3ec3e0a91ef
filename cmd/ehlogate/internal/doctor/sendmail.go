package doctor

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path"
	"regexp"
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

// socketMap is a line "Kname socket flags address".
type socketMap struct {
	name, addr string
	tempfail   string // -T
	timeout    string // -d
	text       string
}

var socketLine = regexp.MustCompile(`^K\s*(\S+)\s+socket\s+(.*)$`)

func (s *Sendmail) socketMaps() (out []socketMap) {
	for _, l := range s.lines {
		m := socketLine.FindStringSubmatch(l.text)
		if m == nil {
			continue
		}
		k := socketMap{name: m[1], text: l.text}
		for _, f := range strings.Fields(m[2]) {
			switch {
			case strings.HasPrefix(f, "-T"):
				k.tempfail = f[2:]
			case strings.HasPrefix(f, "-d"):
				k.timeout = f[2:]
			case !strings.HasPrefix(f, "-"):
				k.addr = f
			}
		}
		out = append(out, k)
	}
	return out
}

// ruleText returns the text of all rules, without white space.
func (s *Sendmail) ruleText() string {
	var b strings.Builder
	for _, l := range s.lines {
		if strings.HasPrefix(l.text, "R") {
			b.WriteString(strings.Join(strings.Fields(l.text), "") + "\n")
		}
	}
	return b.String()
}

// checkSendmailMaps examines how the ruleset Local_srv_features queries ehlogate.
func (e *exam) checkSendmailMaps() {
	s, asked := e.sendmail, false
	for _, k := range s.socketMaps() {
		p, local, ok := k.endpoint()
		proto := e.daemon.protocolAt(p)
		if !ok || proto == "" {
			continue
		}
		asked = true
		at := Place{File: s.name, Parameter: "K" + k.name, Value: k.text}
		if proto != socketmapProto {
			e.wrongListener(p, socketmapProto, proto, at)
			continue
		}
		write := Write{s.name, []string{"Ksrv_features socket -T<TMPF> -d2 " + k.addr}}
		if k.name != "srv_features" {
			e.addHazard("sendmail-map-name", at, fmt.Sprintf("wrong map name %q in the query", k.name),
				"Sendmail sends the name of the map. The map of ehlogate for Sendmail is \"srv_features\". For another name it returns nothing: no client is suppressed.", write)
		}
		if k.tempfail == "" {
			e.addHazard("sendmail-tempfail", at, "without -T, a failure of the map is a failure of the session",
				"While ehlogate is unreachable, clients get 451 instead of the banner. With -T the rules continue, and offer STARTTLS.", write)
		}
		e.checkDNSWait("Sendmail", k.timeout, at, Hazard, "Such a client gets 451 in place of the banner, whatever the flags of the map.")
		if k.timeout == "" || isSlow(k.timeout) {
			e.addWarning("sendmail-slow", at, "every banner waits long while ehlogate hangs",
				"Without -d it waits 30 s. Two seconds are enough for a daemon on the same machine.", write)
		}
		if local {
			e.addWarning("sendmail-local-socket", at, "a missing socket file is worse than an unreachable daemon",
				"If the file is missing, or others may write to a directory above it, clients get 451 instead of the banner, and -T does not help. TCP on loopback has no such case.")
		}
		e.probe(p, socketmapProto, at, Warning)
	}
	if !asked {
		e.addNote("ehlogate-not-queried", Place{File: s.name}, "Sendmail does not query ehlogate", "No socket map names an address of "+e.daemon.File+".")
		return
	}
	if port, daemon := s.submissionDaemon(); port != "" && !tellsDaemons.MatchString(s.ruleText()) {
		e.addHazard("submission-queries", Place{File: s.name, Parameter: "DaemonPortOptions", Value: port}, submissionAsks,
			"The ruleset runs for every daemon. A suppressed client sends its password in the clear on port 587, or cannot send at all.",
			Write{s.name + ", as the first rules of Local_srv_features", []string{"R$*\t\t$: $&{daemon_name}", "R" + daemon + "\t\t$@ OK"}})
	}
}

// tellsDaemons finds macros by which rules distinguish daemons.
var tellsDaemons = regexp.MustCompile(`\{daemon_(name|port)\}`)

var (
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

// endpoint returns where Sendmail connects: inet:PORT@HOST or local:PATH.
func (k socketMap) endpoint() (p endpoint, local, ok bool) {
	transport, rest, _ := strings.Cut(k.addr, ":")
	switch transport {
	case "inet", "inet6":
		port, host, ok := strings.Cut(rest, "@")
		return endpoint{network: "tcp", addr: net.JoinHostPort(strings.Trim(host, "[]"), port)}, false, ok
	case "local", "unix":
		return endpoint{network: "unix", addr: path.Clean(rest), path: rest}, true, path.IsAbs(rest)
	}
	return endpoint{}, false, false
}
