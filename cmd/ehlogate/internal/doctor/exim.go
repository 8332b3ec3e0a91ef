package doctor

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// The settings of Exim that are looked at.
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
	x := &Exim{file, make(map[string]string)}
	for _, name := range []string{advertiseHosts, daemonPorts, localInterfaces} {
		text, err := runProgram(ctx, []string{"exim", "exim4"}, "-C", path, "-bP", name)
		if err != nil {
			return nil, err
		}
		value, ok := strings.CutPrefix(strings.TrimSpace(text), name+" =")
		if !ok || strings.Contains(value, "<value not displayable>") {
			return nil, fmt.Errorf("exim -bP %s shows no value, but %q: run doctor as root", name, text)
		}
		x.values[name] = strings.TrimSpace(value)
	}
	return x, nil
}

// readsocket is one ${readsocket{where}{request}{options}...}.
type readsocket struct {
	where, request, options string
}

func findReadsockets(text string) (out []readsocket) {
	for {
		_, rest, ok := strings.Cut(text, "readsocket")
		if !ok {
			return out
		}
		text = rest
		var q readsocket
		for _, into := range []*string{&q.where, &q.request, &q.options} {
			rest = strings.TrimSpace(rest)
			inner, n := balanced(rest)
			if n == 0 || rest[0] != '{' {
				break
			}
			*into, rest = strings.TrimSpace(inner), rest[n:]
		}
		out = append(out, q)
	}
}

// filePaths finds names of files in a setting.
var filePaths = regexp.MustCompile(`/[^\s{}:;,]+`)

// checkExim examines how tls_advertise_hosts queries ehlogate.
func (e *exam) checkExim() {
	value := e.exim.values[advertiseHosts]
	at := Place{File: e.exim.file, Parameter: advertiseHosts, Value: value}
	asked, exported := false, false
	for _, name := range slices.Compact(slices.Sorted(slices.Values(filePaths.FindAllString(value, -1)))) {
		if data, err := e.host.ReadFile(name); err == nil && e.checkExported("exim-hosts", name, data, at) {
			exported = true
		}
	}
	for _, q := range findReadsockets(value) {
		p, err := q.endpoint()
		if err != nil {
			continue
		}
		proto := e.daemon.protocolAt(p)
		if proto == "" {
			continue
		}
		asked = true
		if proto == tcpTableProto || proto == memcacheProto && strings.Contains(q.request, "starttls:") {
			e.checkReadsocket(q, p, proto, at)
		} else {
			e.wrongListener(p, tcpTableProto, proto, at)
		}
	}
	if asked {
		e.checkNameEntries("Exim", "by address and HELO name")
	} else if !exported {
		e.addNote("ehlogate-not-queried", at, "Exim does not query ehlogate", "No ${readsocket...} in tls_advertise_hosts names an address of "+e.daemon.File+".")
		return
	}
	submission := regexp.MustCompile(`\b(587|submission)\b`)
	if submission.MatchString(e.exim.values[daemonPorts]+" "+e.exim.values[localInterfaces]) && !strings.Contains(value, "_port") {
		e.addHazard("submission-queries", at, submissionAsks,
			"Exim listens on port 587 too. A suppressed client sends its password in the clear there, or cannot send at all.",
			Write{e.exim.file, []string{advertiseHosts + " = ${if eq{$received_port}{587}{*}{...what it is now...}}"}})
	}
}

// checkReadsocket examines a query, and then connects to ehlogate.
func (e *exam) checkReadsocket(q readsocket, p endpoint, proto string, at Place) {
	options := strings.Split(q.options, ":")
	timeout := strings.TrimSpace(options[0])
	e.checkDNSWait("Exim", timeout, at, Warning, "Such a client is offered STARTTLS.")
	if isSlow(timeout) {
		e.addWarning("exim-slow", at, "every EHLO waits "+timeout+" while ehlogate hangs", "Two seconds are enough for a daemon on the same machine.")
	}
	if slices.Contains(options, "shutdown=no") {
		e.addHazard("exim-no-shutdown", at, "Exim and ehlogate wait for each other to close the connection",
			"Without shutdown=no, Exim closes its side after the query. With it, every EHLO takes the whole timeout, and no client is suppressed.")
	}
	e.probe(p, proto, at, Warning)
}

// endpoint returns where Exim connects: inet:HOST:PORT or the path of a socket.
func (q readsocket) endpoint() (endpoint, error) {
	if rest, ok := strings.CutPrefix(q.where, "inet:"); ok {
		return parseInet(rest)
	}
	if strings.HasPrefix(q.where, "/") {
		return endpoint{network: "unix", addr: q.where, path: q.where}, nil
	}
	return endpoint{}, fmt.Errorf("invalid address %q", q.where)
}
