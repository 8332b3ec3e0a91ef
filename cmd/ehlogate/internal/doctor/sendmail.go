package doctor

import (
	"fmt"
	"net"
	"path"
	"regexp"
	"strings"
)

// Sendmail is its configuration: a .cf, or the .mc that one is made from.
type Sendmail struct {
	name  string
	mc    bool
	lines []line
}

// ParseSendmail reads a configuration of Sendmail. By the name it is told
// which of the two it is.
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

func (s *Sendmail) maps() (out []socketMap) {
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

// rules gives the text of all rules, with nothing but what separates them between their parts.
func (s *Sendmail) rules() string {
	var b strings.Builder
	for _, l := range s.lines {
		if strings.HasPrefix(l.text, "R") {
			b.WriteString(strings.Join(strings.Fields(l.text), "") + "\n")
		}
	}
	return b.String()
}

// sendmail looks at how the ruleset Local_srv_features asks ehlogate.
func (e *exam) sendmail(s *Sendmail) {
	e.sendmailMilters(s)
	asked := false
	for _, k := range s.maps() {
		p, local, ok := k.endpoint()
		proto := e.gate.protocolAt(p)
		if !ok || proto == "" {
			continue
		}
		asked = true
		at := Place{File: s.name, Parameter: "K" + k.name, Value: k.text}
		if proto != socketmapProto {
			e.add(Finding{
				ID: "wrong-listener", Severity: Hazard, Place: at,
				What: fmt.Sprintf("%s is asked in the protocol of socketmap, and speaks that of %s", p, proto),
				Why:  "No question is understood. For socketmap, ehlogate is configured to listen on " + list(e.gate.Socketmap) + ".",
			})
			continue
		}
		write := Write{s.name, []string{"Ksrv_features socket -T<TMPF> -d2 " + k.addr}}
		if k.name != "srv_features" {
			e.add(Finding{
				ID: "sendmail-map-name", Severity: Hazard, Place: at,
				What:  fmt.Sprintf("the map is asked by the name %q", k.name),
				Why:   "Sendmail sends the name of the map, and ehlogate answers Sendmail by the name \"srv_features\": no client is suppressed.",
				Write: write,
			})
		}
		if k.tempfail == "" {
			e.add(Finding{
				ID: "sendmail-tempfail", Severity: Hazard, Place: at,
				What:  "without -T, a failure of the map is a failure of the session",
				Why:   "While ehlogate is away, clients get 451 instead of the banner. With -T the rules go on, and offer STARTTLS.",
				Write: write,
			})
		}
		e.late("Sendmail", k.timeout, at, Hazard, "Such a client gets 451 in place of the banner, whatever the flags of the map.")
		if k.timeout == "" || tooSlow(k.timeout) {
			e.add(Finding{
				ID: "sendmail-slow", Severity: Warning, Place: at,
				What:  "every banner waits long while ehlogate hangs",
				Why:   "Without -d it is 30 s. Two seconds are enough for a daemon on the same machine.",
				Write: write,
			})
		}
		if local {
			e.add(Finding{
				ID: "sendmail-local-socket", Severity: Warning, Place: at,
				What: "a socket file that is missing is worse than a daemon that is away",
				Why:  "If the file is not there, or others may write to a folder above it, clients get 451 instead of the banner, and -T does not help. TCP on loopback has no such case.",
			})
		}
		e.probe(p, socketmapProto, at, Warning)
	}
	if !asked {
		e.add(Finding{
			ID: "ehlogate-not-asked", Severity: Note, Place: Place{File: s.name},
			What: "Sendmail does not ask ehlogate", Why: "No socket map names an address of " + e.gate.File + ".",
		})
		return
	}
	if port, daemon := s.submission(); port != "" && !tellsDaemons.MatchString(s.rules()) {
		e.add(Finding{
			ID: "submission-asks", Severity: Hazard, Place: Place{File: s.name, Parameter: "DaemonPortOptions", Value: port},
			What:  "the lists decide about STARTTLS for clients that log in",
			Why:   "The ruleset is asked for every daemon, and a suppressed client sends its password in the clear on port 587, or cannot send at all.",
			Write: Write{s.name + ", as the first rules of Local_srv_features", []string{"R$*\t\t$: $&{daemon_name}", "R" + daemon + "\t\t$@ OK"}},
		})
	}
}

// tellsDaemons is what rules look at that tell one daemon from another.
var tellsDaemons = regexp.MustCompile(`\{daemon_(name|port)\}`)

var (
	daemonLine     = regexp.MustCompile(`(?i)^O\s*DaemonPortOptions\s*=(.*)|DAEMON_OPTIONS\((.*)`)
	submissionPort = regexp.MustCompile(`(?i)\bPort=(587|submission)\b`)
	loopback       = regexp.MustCompile(`(?i)\bAddr(ess)?=(127\.|::1\b|localhost\b)`)
	daemonName     = regexp.MustCompile(`(?i)\bName=([^,'\s]+)`)
)

// submission tells where submission is served to other machines, and the name
// of that daemon; empty if it is not.
func (s *Sendmail) submission() (port, daemon string) {
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

// endpoint is where Sendmail asks: inet:PORT@HOST or local:PATH.
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
