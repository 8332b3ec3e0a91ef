package doctor

import (
	"fmt"
	"slices"
	"strings"
)

// postscreen looks over the one process that all clients meet first. It looks
// its map up inline, so what makes it wait makes all clients wait, and the
// watchdog kills it.
func (e *exam) postscreen(v view, asked bool) {
	ts := tables(v.get(screenMaps))
	live := false
	for _, t := range ts {
		if !t.asks() && !t.proxied {
			e.checkFile(v, t, v.origin(screenMaps), "table-unreadable", "postscreen answers EHLO with an error.", Write{})
			continue
		}
		live = true
		f := Finding{
			ID: "postscreen-asks", Severity: Hazard, Place: v.place(screenMaps),
			What:  "postscreen asks " + t.full() + " while all clients wait",
			Why:   "It is one process. While ehlogate hangs, its watchdog kills it, with all sessions; through socketmap it dies as soon as ehlogate is away. It can use an exported table.",
			Write: v.place(screenMaps).set(e.without(v, screenMaps)),
		}
		if c := e.gate.config; c.UsesDNS() {
			f.Why += fmt.Sprintf(" And while ehlogate waits for DNS, up to %v for each client that it does not know yet, all clients wait.", c.DNS.Wait)
		}
		if _, _, set := v.raw(screenMaps); !set {
			f.ID, f.Place = "postscreen-inherits", v.place(smtpdMaps)
			f.Place.Service = v.svc.String()
			f.What = fmt.Sprintf("postscreen inherits the map of smtpd, and asks %s while all clients wait", t.full())
			if f.Place.File == "master.cf" {
				f.What = fmt.Sprintf("postscreen has the map of smtpd in its own options, and asks %s while all clients wait", t.full())
				f.Why += " The map belongs to smtpd pass."
				f.Write = e.unscreen(v)
			}
		}
		e.add(f)
	}
	for _, t := range tables(v.get(screenFilter)) {
		if t.asks() || t.proxied {
			e.add(Finding{
				ID: "postscreen-asks", Severity: Hazard, Place: v.place(screenFilter),
				What: "postscreen asks " + t.full() + " about every command while all clients wait",
				Why:  "It is one process: what makes it wait makes all clients wait, and its watchdog kills it.", Write: v.place(screenFilter).set(e.without(v, screenFilter)),
			})
		}
	}
	if asked && !live && len(ts) == 0 {
		for _, test := range []string{"pipelining", "non_smtp_command", "bare_newline"} {
			if param := "postscreen_" + test + "_enable"; v.yes(param) {
				e.add(Finding{
					ID: "postscreen-offers", Severity: Note, Place: v.place(param),
					What:  "postscreen talks to clients itself in its deep protocol tests, and offers STARTTLS to all of them",
					Why:   "They are handed to smtpd from their next session on. A static table makes both say the same.",
					Write: Write{shell, []string{e.command("export", "--format", cidrFormat, "-o", exampleTable) + " && " + inMain(screenMaps + " = cidr:" + exampleTable).Lines[0]}},
				})
				return
			}
		}
	}
}

// unscreen is the advice to take the map of smtpd from the options of postscreen, but for tables of the operator that
// main.cf does not have.
func (e *exam) unscreen(v view) Write {
	_, own := e.split(v, smtpdMaps, v.svc.Params[smtpdMaps])
	_, rest := e.split(v, smtpdMaps, v.pf.Main[smtpdMaps])
	if !slices.ContainsFunc(own, func(t string) bool { return !slices.Contains(rest, t) }) {
		return Write{shell, []string{v.remove(smtpdMaps)}}
	}
	return v.option(smtpdMaps, strings.Join(own, ", "))
}
