package doctor

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path"
	"slices"
	"strings"

	"ehlogate/cmd/ehlogate/internal/export"
	"ehlogate/lists/lazyregexp"
)

// Sendmail is its configuration: the .cf that it reads. No program of Sendmail prints its maps and milters; what its
// rules do, it says itself (trial_sendmail.go).
type Sendmail struct {
	name  string
	text  string
	lines []line
}

// ReadSendmail reads the configuration in a file.
func ReadSendmail(name string) (*Sendmail, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	switch {
	case len(data) == 0:
		return nil, errors.New(name + " is empty: name the .cf that Sendmail reads, such as /etc/mail/sendmail.cf")
	case strings.HasSuffix(name, ".mc"):
		return nil, errors.New(name + " is not what Sendmail reads: name the .cf that m4 makes from it, such as /etc/mail/sendmail.cf")
	}
	return ParseSendmail(name, string(data)), nil
}

// ParseSendmail parses the text of a .cf.
func ParseSendmail(name, text string) *Sendmail {
	return &Sendmail{name: name, text: text, lines: logicalLines(text)}
}

var socketMap = lazyregexp.New(`^K\s*(\S+)\s+socket\s+((?:-\S+\s+)*)(\S+)`)

// timeoutFlag finds the timeout of a map. Sendmail takes it to end at a space: behind a tab, it adds the numbers of the address
// to it.
var timeoutFlag = lazyregexp.New(`-d(\S*) `)

// checkSendmailMaps examines how the ruleset Local_srv_features queries ehlogate.
func (e *exam) checkSendmailMaps() {
	s, named, queries, submission := e.sendmail, false, false, false
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
		named = named || name != tlsProfile
		at := Place{File: s.name, Parameter: "K" + name, Value: l.text}
		if proto != socketmapProto {
			e.add(Hazard, "sendmail-wrong-listener", at, fmt.Sprintf("wrong protocol: ehlogate speaks %s at %s, and Sendmail speaks socketmap", proto, p),
				"Every client gets 451 in place of the banner. "+e.listenText(socketmapProto))
			continue
		}
		right, reply, in := "srv_features", "banner", "in place of the banner"
		switch name {
		case right:
			queries = true
		case "submission_features":
			right, submission = name, true
		case tlsProfile: // see checkLegacySendmail
			right, reply, in = name, "reply to STARTTLS", "as the reply to STARTTLS"
		}
		write := Write{s.name, []string{"K" + right + " socket -d2 -T<TMPF> " + addr}}
		if name != right {
			e.add(Hazard, "sendmail-map-name", at, fmt.Sprintf("wrong map name %q in the query", name),
				"Sendmail sends the name of the map. The map of ehlogate for Sendmail is \"srv_features\". For another name it returns nothing: no client is suppressed.", write)
		}
		timeout := ""
		if d := timeoutFlag.FindStringSubmatch(flags); d != nil {
			timeout = d[1]
		}
		e.checkDNSWait("Sendmail", timeout, at, Hazard, "Such a client gets 451 "+in+", whatever the flags of the map.")
		if timeout == "" || isSlow(timeout) {
			e.add(Warning, "sendmail-slow", at, "every "+reply+" waits long while ehlogate hangs",
				"Without -d it waits 30 s, and with a tab behind the time, for hours. Two seconds are enough for a daemon on the same machine.", write)
		}
		if p.network == "unix" {
			e.add(Warning, "sendmail-local-socket", at, "a missing socket file is worse than an unreachable daemon",
				"If the file is missing, or others may write to a directory above it, clients get 451 instead of the banner, and no flag of the map helps. TCP on loopback has no such case.")
		}
		e.probe(p, socketmapProto, at, Warning)
	}
	if named {
		e.checkHiddenOnSendmail(submission)
	}
	switch {
	case queries:
		e.trySendmail()
	case !named && !e.checkExportedAccess():
		e.add(Note, "ehlogate-not-queried", Place{File: s.name}, "Sendmail does not query ehlogate", "No socket map names an address of "+e.file+". All clients are offered STARTTLS, whatever the lists say. "+
			"The section Sendmail in examples/README.md has the steps.")
	}
}

// fileMap finds a map in a file: its name, its type, and the file without the suffix of a database.
var fileMap = lazyregexp.New(`^K\s*(\S+)\s+(hash|btree|cdb|text)\s.*?(/\S+)$`)

// checkExportedAccess examines the files that maps are made from, and reports whether ehlogate exported one of them.
func (e *exam) checkExportedAccess() (exported bool) {
	for _, l := range e.sendmail.lines {
		m := fileMap.FindStringSubmatch(l.text)
		if m == nil {
			continue
		}
		kind, name, at := m[2], m[3], Place{File: e.sendmail.name, Parameter: "K" + m[1], Value: l.text}
		data, err := e.host.readFile(name)
		if format, _, ok := export.ParseHeader(data); err != nil || !ok || format != accessFormat {
			continue
		}
		exported = true
		makemap := fmt.Sprintf("makemap %s %s <%[2]s", kind, name)
		if database := name + fileSuffixes[kind]; database != name && e.host.saved == "" && isOlder(database, name) {
			e.addDatabaseBehind(at, database, name, "It is older than the file.", "Sendmail", makemap)
		} else {
			e.checkExported(accessFormat, name, data, at, makemap)
		}
	}
	return exported
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

// filterLine finds a milter of Sendmail, its name and its equates.
var filterLine = lazyregexp.New(`^X([^\s,]+)\s*,(.*)$`)

var filterList = lazyregexp.New(`(?i)^O\s+InputMailFilters\s*=(.*)`)

// usedFilters returns the names of the milters that daemons have: a line defines one, and does not use it.
func (s *Sendmail) usedFilters() (names []string) {
	split := func(text string) {
		names = append(names, strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(",; \t", r) })...)
	}
	for _, l := range s.lines {
		if m := filterList.FindStringSubmatch(l.text); m != nil {
			split(m[1])
		}
	}
	for _, d := range s.daemons() {
		split(d.filters)
	}
	return names
}

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
	s, enforced := e.sendmail, false
	used := s.usedFilters()
	for _, l := range s.lines {
		m := filterLine.FindStringSubmatch(l.text)
		if m == nil || !slices.Contains(used, m[1]) {
			continue
		}
		name, equates := m[1], parseEquates(m[2])
		p := parseSendmailAddress(equates["S"])
		proto := e.protocolAt(p)
		if proto == "" {
			continue
		}
		at := Place{File: s.name, Parameter: "X" + name, Value: l.text}
		write := Write{s.name + ", or INPUT_MAIL_FILTER in its .mc", []string{fmt.Sprintf("X%s, S=%s, T=C:2s;S:2s;R:2s", name, equates["S"])}}
		if proto != milterProto {
			e.addWrongListener(p, milterProto, proto, at)
			continue
		}
		enforced = true
		if action := equates["F"]; action != "" {
			e.add(Hazard, "milter-default-action", at, fmt.Sprintf("while ehlogate is unreachable, every client is refused (F=%s)", action),
				milterPurpose+" Without F=, mail is accepted then.", write)
		}
		e.checkDNSWait("Sendmail", equates["T:R"], at, Warning, "The decision of ehlogate is then neither logged nor enforced.")
		if slices.ContainsFunc([]string{"C", "S", "R"}, func(wait string) bool { return equates["T:"+wait] == "" || isSlow(equates["T:"+wait]) }) {
			e.add(Warning, "sendmail-milter-slow", at, milterSlow,
				"With its defaults, while ehlogate hangs, Sendmail waits 5 minutes for a connection, and 10 s for each answer.", write)
		}
		e.probe(p, milterProto, at, Warning)
	}
	if requires := e.requireLists(); requires != "" && !enforced {
		e.add(Hazard, "require-unenforced", Place{File: s.name}, requires+`: action = "require" is not enforced: Sendmail has no milter of ehlogate`, requireEscaped,
			Write{strings.TrimSuffix(s.name, ".cf") + ".mc", []string{"INPUT_MAIL_FILTER(`ehlogate', `S=" + e.sendmailAddress(milterProto) + ", T=C:2s;S:2s;R:2s')dnl"}})
	}
}

// sendmailAddress returns the first address of ehlogate for a protocol, as Sendmail writes it.
func (e *exam) sendmailAddress(proto string) string {
	addr := e.listeners(proto)[0]
	if host, port, err := net.SplitHostPort(addr); err == nil && !strings.HasPrefix(addr, "/") {
		return "inet:" + port + "@" + host
	}
	return "local:" + addr
}
