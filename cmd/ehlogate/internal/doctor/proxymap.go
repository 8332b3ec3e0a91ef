package doctor

import (
	"slices"
	"strings"
)

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
			"proxymap refuses it, and smtpd ends with a fatal error before its banner. The default has the tables of main.cf, but not those of master.cf.", write)
	}
	if t.needsDaemon() {
		e.add(Note, "proxy-waits", at, "clients of "+t.setting()+" wait for each other while ehlogate hangs",
			"One proxymap process serves many smtpd processes. Without proxy: and with max_try = 1, each of them waits for itself alone.")
	}
}
