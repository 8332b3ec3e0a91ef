package doctor

import (
	"fmt"
	"strings"
)

// refuses is what happens if smtpd cannot use a table.
const refuses = "smtpd answers every EHLO with 421."

// checkTables examines the tables that hide keywords, and those that edit commands.
func (e *exam) checkTables(s smtpd) {
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

// checkDirect examines a table that has no backup.
func (e *exam) checkDirect(v view, t table, at Place) {
	addr, proto := "inet:"+t.name, tcpTableProto
	if t.kind == "socketmap" {
		i := strings.LastIndexByte(t.name, ':')
		addr, proto = t.name[:max(i, 0)], socketmapProto
		if name := t.name[i+1:]; i > 0 && name != "starttls" {
			e.add(Hazard, "socketmap-name", at, fmt.Sprintf("wrong map name %q in the query", name),
				"The map of ehlogate for Postfix is \"starttls\". For another name it returns nothing: no client is suppressed.",
				at.adviseReplacement(t.setting(), "socketmap:"+addr+":starttls"))
		}
	}
	p, ok := e.checkAddress(v, addr, proto, at)
	if !ok {
		return
	}
	write := at.adviseReplacement(t.setting(), exampleMap)
	if e.host.IsInherited != nil && e.host.IsInherited(p.network, p.addr) {
		e.add(Warning, "map-refuses", at, t.setting()+" has no backup: no mail while ehlogate hangs or cannot start",
			"systemd keeps the socket open, so that a restart costs no mail. But while ehlogate hangs or cannot start, clients wait up to 100 s.", write)
	} else {
		e.add(Hazard, "map-refuses", at, t.setting()+" has no backup: no mail while ehlogate is unreachable",
			"While ehlogate is unreachable, "+refuses+" While it hangs, clients wait up to 100 s. "+
				"A memcache table can have a backup, as in examples/postfix/ehlogate.cf.", write)
	}
	e.probe(p, proto, at, Hazard)
}
