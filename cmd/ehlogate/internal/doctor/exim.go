package doctor

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"ehlogate/lists/diag"
)

const (
	advertiseHosts  = "tls_advertise_hosts"
	daemonPorts     = "daemon_smtp_ports"
	localInterfaces = "local_interfaces"
)

// Exim is one snapshot of the settings of an Exim.
type Exim struct {
	file   string
	values map[string]string // with macros and included files, and the defaults
}

// ReadExim has Exim itself read the configuration in a file.
func ReadExim(ctx context.Context, file string) (*Exim, error) {
	path, err := filepath.Abs(file)
	if err != nil {
		return nil, err
	}
	text, err := runProgram(ctx, []string{"exim", "exim4"}, "-C", path, "-bP", advertiseHosts, daemonPorts, localInterfaces)
	if failed, ok := errors.AsType[*programError](err); ok {
		failed.stderr = eximReason(failed.stderr)
	}
	if err != nil {
		return nil, err
	}
	x := &Exim{file, parseSettings("exim -bP", text, new(diag.Problems))}
	for _, name := range []string{advertiseHosts, daemonPorts, localInterfaces} {
		if value, ok := x.values[name]; !ok || strings.Contains(value, "<value not displayable>") {
			return nil, fmt.Errorf("exim -bP %s shows no value, but %q: run doctor as root", name, text)
		}
	}
	return x, nil
}

var (
	eximLogFailure = regexp.MustCompile(`(?m)^.*(Cannot open main log file|could not open panic log).*\n?`)
	eximTime       = regexp.MustCompile(`(?m)^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?( [+-]\d{4})?( \[\d+\])? `)
)

// eximReason returns the reason for which Exim ended. Exim that cannot write its log repeats the reason, and ends with
// complaints about the log.
func eximReason(stderr string) string {
	stderr = eximLogFailure.ReplaceAllString(stderr, "")
	if at := eximTime.FindAllStringIndex(stderr, -1); len(at) > 0 {
		return stderr[at[len(at)-1][1]:]
	}
	return stderr
}

// splitGroups returns what is in the braces that text begins with: {a}{b}...
func splitGroups(text string) (out []string) {
	for {
		inner, n := balanced(strings.TrimSpace(text))
		if n == 0 {
			return out
		}
		out, text = append(out, strings.TrimSpace(inner)), strings.TrimSpace(text)[n:]
	}
}

var filePaths = regexp.MustCompile(`/[^\s{}:;,]+`)

var eximSubmission = regexp.MustCompile(`\b(587|submission)\b`)

func (e *exam) checkExim() {
	value := e.exim.values[advertiseHosts]
	at := Place{File: e.exim.file, Parameter: advertiseHosts, Value: value}
	asked, exported := false, false
	for _, name := range slices.Compact(slices.Sorted(slices.Values(filePaths.FindAllString(value, -1)))) {
		if data, err := e.host.readFile(name); err == nil && e.checkExported("exim-hosts", name, data, at) {
			exported = true
		}
	}
	for _, text := range strings.Split(value, "readsocket")[1:] {
		groups := append(splitGroups(text), "", "", "")
		where, request, options := groups[0], groups[1], groups[2]
		p := endpoint{network: "unix", addr: where, path: where}
		if rest, ok := strings.CutPrefix(where, "inet:"); ok {
			p, _ = parseInet(rest)
		}
		switch proto := e.protocolAt(p); {
		case proto == "":
			continue
		case proto == tcpTableProto || proto == memcacheProto && strings.Contains(request, "starttls:"):
			e.checkReadsocket(strings.Split(options, ":"), p, proto, at)
		default:
			e.addWrongListener(p, tcpTableProto, proto, at)
		}
		asked = true
	}
	if asked {
		e.checkNameEntries("Exim", "by address and HELO name")
	} else if !exported {
		e.add(Note, "ehlogate-not-queried", at, "Exim does not query ehlogate", "No ${readsocket...} in tls_advertise_hosts names an address of "+e.file+".")
		return
	}
	if eximSubmission.MatchString(e.exim.values[daemonPorts]+" "+e.exim.values[localInterfaces]) && !strings.Contains(value, "_port") {
		e.add(Hazard, "submission-queries", at, submissionAsks,
			"Exim listens on port 587 too. A suppressed client sends its password in the clear there, or cannot send at all.",
			Write{e.exim.file, []string{advertiseHosts + " = ${if eq{$received_port}{587}{*}{...what it is now...}}"}})
	}
}

func (e *exam) checkReadsocket(options []string, p endpoint, proto string, at Place) {
	timeout := strings.TrimSpace(options[0])
	e.checkDNSWait("Exim", timeout, at, Warning, "Such a client is offered STARTTLS.")
	if isSlow(timeout) {
		e.add(Warning, "exim-slow", at, "every EHLO waits "+timeout+" while ehlogate hangs", "Two seconds are enough for a daemon on the same machine.")
	}
	if slices.Contains(options, "shutdown=no") {
		e.add(Hazard, "exim-no-shutdown", at, "Exim and ehlogate wait for each other to close the connection",
			"Without shutdown=no, Exim closes its side after the query. With it, every EHLO takes the whole timeout, and no client is suppressed.")
	}
	e.probe(p, proto, at, Warning)
}
