package doctor

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// refuses is what a table means that smtpd cannot ask.
const refuses = "smtpd answers every EHLO with 421."

// table looks over one table that smtpd asks, in the setting param.
func (e *exam) table(v view, t table, param string) {
	at := v.holder(param, t.full())
	reader := v // whose settings and whose jail count
	if t.proxied {
		reader = e.pf.service("proxymap", "unix")
		e.proxied(t, v.origin(param), v.get(param))
	}
	switch t.kind {
	case "memcache":
		e.memcache(reader, t, param, at)
	case "socketmap", "tcp":
		e.direct(reader, t, param, at)
	default:
		e.checkFile(reader, t, at, "table-unreadable", refuses, Write{})
	}
}

// direct looks over a table without a backup.
func (e *exam) direct(v view, t table, param string, at Place) {
	addr, proto := "inet:"+t.name, tcpTableProto
	if t.kind == "socketmap" {
		i := strings.LastIndexByte(t.name, ':')
		addr, proto = t.name[:max(i, 0)], socketmapProto
		if name := t.name[i+1:]; i > 0 && name != "starttls" {
			e.add(Finding{
				ID: "socketmap-name", Severity: Hazard, Place: at,
				What:  fmt.Sprintf("the map is asked by the name %q", name),
				Why:   "ehlogate answers Postfix by the name \"starttls\": no client is suppressed.",
				Write: at.replace(t.full(), "socketmap:"+addr+":starttls"),
			})
		}
	}
	p, ok := e.endpoint(v, addr, proto, at)
	if !ok {
		return
	}
	f := Finding{
		ID: "map-refuses", Severity: Hazard, Place: at,
		What:  fmt.Sprintf("%s decides whether there is mail at all", t.full()),
		Why:   "It has no backup. While ehlogate is away, " + refuses + " While it hangs, clients wait up to 100 s. A memcache table has a backup, as in examples/postfix/ehlogate.cf.",
		Write: at.replace(t.full(), exampleMap),
	}
	if e.host.Held != nil && e.host.Held(p.network, p.addr) {
		f.Severity = Warning
		f.Why = "It has no backup. Its socket is held by the service manager, so that a restart costs no mail; while ehlogate hangs or cannot be started, clients wait up to 100 s."
	}
	e.add(f)
	e.probe(p, proto, at, Hazard)
}

// endpoint looks over an address that ehlogate is expected at.
func (e *exam) endpoint(v view, addr, proto string, at Place) (endpoint, bool) {
	p, err := v.endpoint(addr)
	if err != nil {
		e.add(Finding{
			ID: "bad-address", Severity: Hazard, Place: at,
			What: fmt.Sprintf("%q is no address: %v", addr, err), Why: "The daemon that reads it ends with a fatal error.",
		})
		return p, false
	}
	outside := p
	outside.addr = path.Clean(p.path)
	jail := v.get(queueDirectory)
	if p.network == "unix" && v.chrooted() && path.IsAbs(p.path) && e.gate.protocolAt(p) == "" &&
		(e.gate.protocolAt(outside) != "" || strings.HasPrefix(outside.addr, jail+"/")) {
		f := Finding{
			ID: "socket-outside-jail", Severity: Hazard, Place: at,
			What: fmt.Sprintf("%s is chrooted, and finds the socket at %s", v.svc, p.addr),
			Why:  "There is none: a socket is connected to from inside of the jail. Have ehlogate listen below " + jail + ", and name that path relative to it.",
		}
		f.Write = Write{at.File, []string{fmt.Sprintf("unix:%s", strings.TrimPrefix(strings.TrimPrefix(outside.addr, jail), "/"))}}
		if !strings.HasPrefix(outside.addr, jail+"/") {
			f.Write.Lines = []string{"unix:ehlogate/" + proto}
		}
		e.add(f)
		return p, false
	}
	if p.isLocalhost() {
		e.add(Finding{
			ID: "localhost", Severity: Warning, Place: at,
			What:  "localhost is two addresses, and ehlogate listens on one",
			Why:   "A client that tries the other one first loses time. In a jail the name may not be known at all.",
			Write: Write{at.File, []string{strings.Replace(addr, "localhost", "127.0.0.1", 1)}},
		})
	}
	switch other := e.gate.protocolAt(p); other {
	case proto:
	case "":
		e.add(Finding{
			ID: "not-our-address", Severity: Warning, Place: at,
			What: fmt.Sprintf("%s: %s has no such address for %s", p, e.gate.File, proto),
			Why:  "It is configured to listen on " + list(e.gate.listeners(proto)) + ".",
		})
	default:
		e.add(Finding{
			ID: "wrong-listener", Severity: Hazard, Place: at,
			What: fmt.Sprintf("%s is asked in the protocol of %s, and speaks that of %s", p, proto, other),
			Why:  "No question is understood. For " + proto + ", ehlogate is configured to listen on " + list(e.gate.listeners(proto)) + ".",
		})
		return p, false
	}
	return p, true
}

func list(addrs []string) string {
	if len(addrs) == 0 {
		return "no address"
	}
	return strings.Join(addrs, ", ")
}

// proxied looks over a table that is asked through proxymap, from a setting with that value.
func (e *exam) proxied(t table, at Place, value string) {
	approved := e.pf.service("proxymap", "unix").get(proxyReadMaps)
	// What a file names is approved as well in newer versions, so a list with one cannot be judged; nor can a
	// table that is one part of another.
	listed := t.part || slices.ContainsFunc(words(approved), func(w string) bool { return strings.HasPrefix(strings.TrimLeft(w, "{ "), "/") }) ||
		slices.ContainsFunc(tables(approved), func(a table) bool { return a.proxied && a.kind == t.kind && a.name == t.name })
	if !listed {
		write := at.set(strings.ReplaceAll(value, "proxy:", ""))
		if set, ok := e.pf.Main[proxyReadMaps]; ok {
			write = inMain(proxyReadMaps + " = " + strings.TrimSpace(set+" "+t.full()))
		}
		e.add(Finding{
			ID: "proxy-not-approved", Severity: Hazard, Place: at,
			What:  fmt.Sprintf("%s is not in %s", t.full(), proxyReadMaps),
			Why:   "proxymap refuses it, and smtpd ends with a fatal error before its banner. What master.cf sets is not in the default.",
			Write: write,
		})
	}
	if t.asks() {
		e.add(Finding{
			ID: "proxy-waits", Severity: Note, Place: at,
			What: "clients of " + t.full() + " wait for each other while ehlogate hangs",
			Why:  "One proxymap serves many smtpd. Asked directly, with max_try = 1, each waits for itself.",
		})
	}
}

// memcache looks over a table of that kind.
func (e *exam) memcache(v view, t table, param string, at Place) {
	p, err := e.parameters(v, t)
	switch {
	case errors.Is(err, errNotCopied):
		e.unread(at, t.name, err)
		return
	case err != nil:
		e.add(Finding{
			ID: "memcache-file-unreadable", Severity: Hazard, Place: at,
			What: fmt.Sprintf("%s cannot be read: %s", t.full(), reason(err)), Why: refuses,
		})
		return
	}
	addr, where := p.get("memcache", "inet:localhost:11211")
	if where.Value == "" {
		where.Value = "(not set: " + addr + ")"
	}
	if ep, ok := e.endpoint(v, addr, memcacheProto, where); ok {
		e.probe(ep, memcacheProto, where, Warning)
	}
	e.keys(p, t, param, at)
	e.waits(p)
	if timeout, where := p.get("timeout", "2"); param == smtpdMaps { // the filter by HELO name has no such wait
		e.late("Postfix", timeout, where, Warning, "The backup decides about such a client.")
	}
	e.backup(v, p)
}
