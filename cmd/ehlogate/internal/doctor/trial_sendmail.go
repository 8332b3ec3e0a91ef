package doctor

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/lazyregexp"
)

// sendmailPrograms are the names of Sendmail. The plain name may be that of another mail server.
var sendmailPrograms = []string{"/usr/libexec/sendmail/sendmail", "/usr/lib/sm.bin/sendmail", "sendmail.sendmail", "sendmail"}

// sendmailLimit bounds a run of Sendmail, which waits a minute if the name of the machine has no dot.
const sendmailLimit = 75 * time.Second

// mtaDaemon is a daemon of Sendmail.
type mtaDaemon struct{ name, port, addr, family, flags, filters string }

var daemonLine = lazyregexp.New(`(?i)^O\s+DaemonPortOptions\s*=\s*(.*)`)

// daemons returns the daemons of a configuration. Sendmail tells their options apart by the first letter.
func (s *Sendmail) daemons() (out []mtaDaemon) {
	for _, l := range s.lines {
		m := daemonLine.FindStringSubmatch(l.text)
		if m == nil {
			continue
		}
		d := mtaDaemon{name: fmt.Sprintf("Daemon%d", len(out))}
		for option := range strings.SplitSeq(m[1], ",") {
			key, value, ok := strings.Cut(strings.TrimSpace(option), "=")
			if value = strings.TrimSpace(value); !ok || key == "" {
				continue
			}
			field := map[string]*string{"n": &d.name, "p": &d.port, "a": &d.addr, "f": &d.family, "m": &d.flags, "i": &d.filters}
			if to := field[strings.ToLower(key[:1])]; to != nil {
				*to = value
			}
		}
		out = append(out, d)
	}
	if len(out) == 0 {
		out = []mtaDaemon{{name: "Daemon0"}}
	}
	for i := range out {
		out[i].port = portNumber(cmp.Or(out[i].port, "smtp"))
	}
	return out
}

// macroFlags returns ${daemon_flags}: letters, those in upper case twice.
func (d mtaDaemon) macroFlags() string {
	var words []string
	for _, f := range d.flags {
		w := string(f)
		if w != strings.ToLower(w) {
			w += w
		}
		words = append(words, w)
	}
	return strings.Join(words, " ")
}

// interfaceAddr returns ${if_addr}, the address at which a client arrives: none on loopback, and one from examples if the
// daemon listens on all.
func (d mtaDaemon) interfaceAddr() string {
	if isLoopbackHost(d.addr) {
		return ""
	}
	return cmp.Or(d.addr, "198.51.100.1")
}

// trialRuleset calls srv_features as Sendmail does. In its test mode, $| cannot be typed.
const trialRuleset = "\nSEhlogate\nR$* $$| $*\t$: $1 $| $2\nR$*\t$: $>srv_features $1\n"

// trySendmail has Sendmail run the rules of a copy of the configuration, in which doctor has the address of ehlogate,
// for each daemon.
func (e *exam) trySendmail() {
	e.tryServer("Sendmail", Place{File: e.sendmail.name, Parameter: "Local_srv_features"}, e.runSendmail, e.exemptPorts)
}

func (e *exam) runSendmail(dir string) (trials []trial, err error) {
	stand, err := startStandIn(e.ctx, socketmapProto, e.hiddenKeywords(lists.SMTP))
	if err != nil {
		return nil, err
	}
	defer stand.stop()
	copied := filepath.Join(dir, "sendmail.cf")
	if err := os.WriteFile(copied, []byte(e.redirectMaps(stand.port())+trialRuleset), 0o600); err != nil {
		return nil, err
	}
	var sessions []mtaSession
	for _, d := range e.sendmail.daemons() {
		if strings.ContainsAny(d.flags, "Ss") || isSubmissionPort(d.port) && isLoopbackHost(d.addr) {
			continue // without STARTTLS, or for this machine alone
		}
		for _, suppressed := range []bool{true, false} {
			a, b := trialClient(len(sessions), suppressed), trialClient(len(sessions)+1, suppressed)
			sessions = append(sessions, mtaSession{d, a, "client.example", "OK"}, mtaSession{d, b, fmt.Sprintf("[%s]", b), "FAIL"})
		}
		trials = append(trials, trial{service: "port " + d.port + " (" + d.name + ")", port: d.port, submission: isSubmissionPort(d.port), local: isLoopbackHost(d.addr)})
	}
	results, err := e.runRules(copied, sessions)
	if err != nil {
		return nil, err
	}
	stand.stop()
	down, err := e.runRules(copied, sessions)
	if err != nil {
		return nil, err
	}
	for i := range trials {
		t, n := &trials[i], 4*i
		t.down = slices.Max(down[n : n+4])
		t.suppressed, t.allowed = max(results[n], results[n+1]), max(results[n+2], results[n+3])
		t.queried = slices.ContainsFunc(sessions[n:n+4], func(s mtaSession) bool { return stand.wasQueried(s.client) })
	}
	return trials, nil
}

// mtaSession is a session of a client: its verified name, or its address if it has none.
type mtaSession struct {
	mtaDaemon
	client        netip.Addr
	name, resolve string
}

// redirectMaps returns the configuration with another port of loopback in the maps that query ehlogate. An address is written
// as before: Sendmail does not take each form.
func (e *exam) redirectMaps(port string) string {
	var b strings.Builder
	for l := range strings.Lines(e.sendmail.text) {
		if m := socketMap.FindStringSubmatchIndex(l); m != nil && e.protocolAt(parseSendmailAddress(l[m[6]:m[7]])) == socketmapProto {
			_, host, _ := strings.Cut(l[m[6]:m[7]], "@")
			if strings.Trim(host, "[]") != "127.0.0.1" {
				host = "127.0.0.1"
			}
			l = l[:m[6]] + "inet:" + port + "@" + host + l[m[7]:]
		}
		b.WriteString(l)
	}
	return b.String()
}

var rulesetReturns = lazyregexp.New(`(?m)^Ehlogate\s+returns: (.*)$(\n== Ruleset Ehlogate \(\d+\) status)?`)

func (e *exam) runRules(file string, sessions []mtaSession) (results []verdict, err error) {
	var input strings.Builder
	for _, s := range sessions {
		for _, m := range [][2]string{
			{"daemon_name", s.mtaDaemon.name}, {"daemon_port", s.port}, {"daemon_addr", s.addr}, {"daemon_family", cmp.Or(s.family, "inet")}, {"daemon_flags", s.macroFlags()},
			{"if_addr", s.interfaceAddr()}, {"if_family", cmp.Or(s.family, "inet")},
			{"client_addr", s.client.String()}, {"client_name", s.name}, {"client_resolve", s.resolve}, {"client_port", "4711"}, {"client_connections", "1"}, {"client_rate", "1"},
		} {
			fmt.Fprintf(&input, ".D{%s}%s\n", m[0], m[1])
		}
		fmt.Fprintf(&input, "Ehlogate %s $|\n", s.name)
	}
	out, err := programRun{input: input.String(), limit: sendmailLimit}.output(e.ctx, sendmailPrograms, "-C", file, "-bt")
	for _, m := range rulesetReturns.FindAllStringSubmatch(out, -1) {
		v := offered
		if m[2] == "" { // a lookup that failed makes Sendmail ignore the result
			v = readFeatures(m[1])
		}
		results = append(results, v)
	}
	switch {
	case len(results) == len(sessions):
		return results, nil // even if there are errors in other parts
	case err != nil:
		return nil, errors.New(strings.ReplaceAll(err.Error(), file, e.sendmail.name))
	default:
		return nil, errors.New("sendmail -bt showed no result: if that program is not Sendmail, run doctor where Sendmail is installed")
	}
}

// readFeatures returns what Sendmail does by the result of srv_features: behind $#, each word is one feature by its
// first letter; S hides STARTTLS.
func readFeatures(result string) verdict {
	words := strings.Fields(result)
	if len(words) < 2 || words[0] != "$#" {
		return offered
	}
	if strings.HasPrefix(strings.ToLower(words[1]), "temp") {
		return refused
	}
	if slices.ContainsFunc(words[1:], func(w string) bool { return w[0] == 'S' }) {
		return hidden
	}
	return offered
}

// exemptPorts returns the command that puts rules for ports in front of the others. They are in a command since rules
// need tabs, which do not survive when they are copied from a terminal.
func (e *exam) exemptPorts(ports []string) []Write {
	file := e.sendmail.name
	if source := strings.TrimSuffix(file, ".cf") + ".mc"; source != file {
		if _, err := e.host.readFile(source); err == nil {
			file = source
		}
	}
	rules := `R$*\t\t$: <$\&{daemon_port}> $1\n`
	for _, port := range ports {
		rules += `R<` + port + `> $*\t\t$@ OK\n`
	}
	rules += `R<$*> $*\t\t$: $2`
	writes := []Write{{shell, []string{`sed -i -E 's/^(LOCAL_SRV_FEATURES|SLocal_srv_features).*/&\n` + rules + `/' ` + quoteShell(file)}}}
	if file != e.sendmail.name {
		built := quoteShell(e.sendmail.name + ".new")
		writes = append(writes, Write{shell, []string{"m4 " + quoteShell(file) + " >" + built + " && mv " + built + " " + quoteShell(e.sendmail.name)}})
	}
	return writes
}
