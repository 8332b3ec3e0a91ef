package doctor

import (
	"fmt"
	"slices"
	"strings"

	"ehlogate/lists"
)

const screenWaits = "postscreen is one process: while it waits, all clients wait. While ehlogate hangs, its watchdog kills it, with all sessions"

// checkPostscreen examines the one process that all clients meet first.
func (e *exam) checkPostscreen() {
	asked := slices.ContainsFunc(e.smtpds, smtpd.suppresses)
	for _, service := range e.pf.Services {
		if service.Command != "postscreen" {
			continue
		}
		v := view{e.pf, service}
		maps := parseTables(v.value(screenMaps))
		e.checkPairs(v, v.value(screenMaps), v.place(screenMaps), false)
		for _, t := range maps {
			if t.needsDaemon() || t.proxied {
				e.checkScreenMap(v, t)
			} else {
				e.checkFile(v, t, v.origin(screenMaps), "table-unreadable", "postscreen answers EHLO with an error.")
			}
		}
		for _, t := range parseTables(v.value(screenFilter)) {
			if t.needsDaemon() || t.proxied {
				e.add(Hazard, "postscreen-queries", v.place(screenFilter), "postscreen queries "+t.setting()+" for every command", screenWaits+".",
					v.place(screenFilter).adviseValue(e.withoutEhlogate(v, screenFilter)))
			}
		}
		if asked && !e.screenHides(v) {
			e.checkScreenOffers(v)
		}
	}
}

// checkScreenMap examines a map for which postscreen waits.
func (e *exam) checkScreenMap(v view, t table) {
	why := screenWaits + "; with socketmap it dies as soon as ehlogate is unreachable. It can use an exported table."
	if c := e.config; c.UsesDNS() {
		why += fmt.Sprintf(" While ehlogate waits for DNS, up to %v for each new client, all clients wait too.", c.DNS.Wait)
	}
	write := v.place(screenMaps).adviseValue(e.withoutEhlogate(v, screenMaps))
	switch at := v.place(smtpdMaps); {
	case v.place(screenMaps).File != defaultFile:
		e.add(Hazard, "postscreen-queries", v.place(screenMaps), "postscreen queries "+t.setting(), why, write)
	case at.File == "master.cf":
		e.add(Hazard, "postscreen-inherits", at, "postscreen has the map of smtpd in its own options, and queries "+t.setting(),
			why+" The map belongs to the service \"smtpd pass\".", e.removeScreenMap(v))
	default:
		e.add(Hazard, "postscreen-inherits", at, "postscreen inherits the map of smtpd, and queries "+t.setting(), why, write)
	}
}

// removeScreenMap returns the advice to remove the map of smtpd from the options of postscreen, except for tables of
// the operator that main.cf does not have.
func (e *exam) removeScreenMap(v view) Write {
	_, own := e.separate(v, smtpdMaps, v.svc.Params[smtpdMaps])
	_, rest := e.separate(v, smtpdMaps, v.pf.Main[smtpdMaps])
	if len(without(own, rest)) == 0 {
		return Write{shell, []string{v.removeCommand(smtpdMaps)}}
	}
	return v.setOption(smtpdMaps, strings.Join(own, ", "))
}

// screenHides reports whether the tables of postscreen hide STARTTLS from the clients that the lists suppress.
func (e *exam) screenHides(v view) bool {
	clients := e.listedClients(lists.Suppress)
	hides := len(clients) == 0 && len(parseTables(v.value(screenMaps))) > 0
	for _, entry := range splitEntries(v.value(screenMaps)) {
		found, known := e.lookUp(v, entry, clients)
		hides = hides || !known
		for _, a := range clients {
			if value := found[a]; value != "" {
				return starttlsWord.MatchString(value)
			}
		}
	}
	return hides
}

// screenOffersSTARTTLS reports whether postscreen offers STARTTLS to clients that its tables do not have.
func (v view) screenOffersSTARTTLS() bool {
	level := strings.ToLower(v.value("postscreen_tls_security_level"))
	isOn := level != "none" && level != "" || level == "" && (v.isYes("postscreen_use_tls") || v.isYes("postscreen_enforce_tls"))
	return isOn && !slices.Contains(lowercase(splitList(v.value("postscreen_discard_ehlo_keywords"))), "starttls")
}

// checkScreenOffers looks for tests in which postscreen answers EHLO itself.
func (e *exam) checkScreenOffers(v view) {
	for _, test := range []string{"pipelining", "non_smtp_command", "bare_newline"} {
		if param := "postscreen_" + test + "_enable"; v.isYes(param) {
			if !v.screenOffersSTARTTLS() {
				e.add(Note, "no-starttls", v.place(param), "postscreen answers EHLO itself in its deep protocol tests, and offers STARTTLS to no client then",
					"It hands clients to smtpd from their next session on. Only smtpd offers what the lists say.")
				return
			}
			e.add(Note, "postscreen-offers", v.place(param), "postscreen answers EHLO itself in its deep protocol tests, and offers STARTTLS to all clients",
				"It hands clients to smtpd from their next session on. With an exported table, both offer the same.",
				Write{shell, []string{e.command("export", "--format", cidrFormat, "-o", exampleTable) + " && " + setMain(screenMaps + " = cidr:" + exampleTable).Lines[0]}})
			return
		}
	}
}
