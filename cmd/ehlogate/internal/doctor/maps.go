package doctor

import (
	"fmt"
	"slices"
	"strings"

	"ehlogate/lists"
)

// refuses is what happens if smtpd cannot use a table.
const refuses = "smtpd answers every EHLO with 421."

func (e *exam) checkTables(s smtpd) {
	e.checkPairs(s.view, s.value(smtpdMaps), s.place(smtpdMaps), false)
	for _, t := range s.maps {
		e.checkTable(s.view, t, smtpdMaps)
	}
	for _, t := range s.filter {
		e.checkTable(s.view, t, smtpdFilter)
	}
}

func (e *exam) checkTable(v view, t table, param string) {
	at := v.holder(param, t.setting())
	reader := v // whose settings and whose jail count
	if t.proxied {
		reader = e.pf.proxymap()
		e.checkProxied(t, v.origin(param), v.value(param))
	}
	switch t.kind {
	case "memcache":
		e.checkMemcache(reader, t, param, at)
	case "socketmap", "tcp":
		e.checkDirect(reader, t, at)
	default:
		e.checkFile(reader, t, at, "table-unreadable", refuses)
	}
}

func (e *exam) checkDirect(v view, t table, at Place) {
	addr, proto := "inet:"+t.name, tcpTableProto
	if t.kind == "socketmap" {
		i := strings.LastIndexByte(t.name, ':')
		addr, proto = t.name[:max(i, 0)], socketmapProto
		if name := t.name[i+1:]; i > 0 && name != "starttls" && name != lists.Submission.String() {
			e.add(Hazard, "socketmap-name", at, fmt.Sprintf("wrong map name %q in the query", name),
				"The map of ehlogate for Postfix is \"starttls\". For another name it returns nothing: no client is suppressed.",
				at.adviseReplacement(t.setting(), "socketmap:"+addr+":starttls"))
		}
	}
	p, ok := e.checkAddress(v, addr, proto, at)
	if !ok {
		return
	}
	writes := []Write{e.copyExample(v), at.adviseReplacement(t.setting(), exampleMap)}
	if e.isInherited(p) {
		e.add(Warning, "map-refuses", at, t.setting()+" has no backup: no mail while ehlogate hangs or cannot start",
			"systemd keeps the socket open, so that a restart costs no mail. But while ehlogate hangs or cannot start, clients wait up to 100 s.", writes...)
	} else {
		e.add(Hazard, "map-refuses", at, t.setting()+" has no backup: no mail while ehlogate is unreachable",
			"While ehlogate is unreachable, "+refuses+" While it hangs, clients wait up to 100 s. "+
				"A memcache table can have a backup, as in examples/postfix/ehlogate.cf.", writes...)
	}
	e.connect(p, proto, at, Hazard)
}

// checkProxied examines a table that is used through proxymap, from a setting with that value.
func (e *exam) checkProxied(t table, at Place, value string) {
	approved := e.pf.proxymap().value(proxyReadMaps)
	// What a file names is approved as well in newer versions, so a list with one cannot be judged; nor can a
	// table that is one part of another.
	listed := t.part || slices.ContainsFunc(splitList(approved), func(w string) bool { return strings.HasPrefix(strings.TrimLeft(w, "{ "), "/") }) ||
		slices.ContainsFunc(parseTables(approved), func(a table) bool { return a.proxied && a.kind == t.kind && a.name == t.name })
	if !listed {
		write := at.adviseValue(strings.ReplaceAll(value, "proxy:", ""))
		if set, ok := e.pf.Main[proxyReadMaps]; ok {
			write = setMain(proxyReadMaps + " = " + strings.TrimSpace(set+" "+t.setting()))
		}
		e.add(Hazard, "proxy-not-approved", at, t.setting()+" is not in "+proxyReadMaps,
			"proxymap refuses it, and no client gets an EHLO reply: smtpd ends before its banner, or from Postfix 3.11 on answers 421. The default has the tables of main.cf, but not those of master.cf.", write)
	}
	if t.needsDaemon() {
		e.add(Note, "proxy-waits", at, "clients of "+t.setting()+" wait for each other while ehlogate hangs",
			"One proxymap process serves many smtpd processes. Without proxy: and with max_try = 1, each of them waits for itself alone.")
	}
}
