package doctor

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"ehlogate/cmd/ehlogate/internal/export"
	"ehlogate/lists"
)

// mapFaults are findings that say why a map does not suppress a client.
var mapFaults = strings.Fields("key-format key-digest socketmap-name table-unreadable map-shadowed table-wrong-type unreachable other-program-answers " +
	"no-answer wrong-listener address-family socket-outside-jail socket-forbidden bad-address memcache-file-unreadable memcache-bad-number " +
	"proxy-not-approved running-differs not-our-address backup-unreadable")

// checkMapAnswers looks whether the map hides STARTTLS from a client that ehlogate suppresses. Postfix's own postmap is asked,
// as smtpd would ask: ehlogate answers it.
func (e *exam) checkMapAnswers(s smtpd) {
	hasOptions := func(t table) bool { // which postmap would not see
		return slices.ContainsFunc(slices.Collect(maps.Keys(s.svc.Params)), func(name string) bool { return strings.HasPrefix(name, t.name+"_") })
	}
	explained := slices.ContainsFunc(e.Findings, func(f Finding) bool { return slices.Contains(mapFaults, f.ID) })
	if explained || !s.mapQueries || len(e.suppressed) == 0 || slices.ContainsFunc(s.maps, hasOptions) {
		return
	}
	client, at := e.suppressed[0], s.place(smtpdMaps)
	value := ""
	for _, entry := range splitEntries(s.value(smtpdMaps)) {
		text, err := e.runPostmap(s.view, client.String()+"\n", entry)
		if _, reason, fatal := strings.Cut(fmt.Sprint(err), "postmap: fatal: "); fatal {
			e.add(Hazard, "table-unreadable", at, "cannot open "+entry+": "+strings.TrimSpace(reason), refuses)
			return
		} else if err != nil {
			return
		}
		if _, value, _ = strings.Cut(strings.TrimSpace(text), "\t"); value != "" {
			break
		}
	}
	if !starttlsWord.MatchString(value) {
		e.add(Hazard, "hides-nothing", at, fmt.Sprintf("the map does not hide STARTTLS from %s, which ehlogate suppresses: it has %q", client, value),
			"postmap was run as smtpd would look the client up. Other tables, or other settings in the file of the map, keep the answer from Postfix. Compare it with examples/postfix/ehlogate.cf.")
	}
}

// checkKeywords compares what smtpd hides from all clients with what ehlogate repeats: an answer of the map replaces
// the setting.
func (e *exam) checkKeywords(s smtpd) {
	if !s.mapQueries && !s.mapExported && !s.submissionHides {
		return
	}
	always, clients := lowercase(e.config.AlwaysHide), "suppressed clients"
	if e.hiddenKeywords(lists.SMTP) != 0 {
		clients = "clients from which a list hides STARTTLS or another keyword"
	}
	if s.submissionHides { // what always_hide has of AUTH does not count there
		always, clients = without(always, []string{"auth"}), "clients from which a list hides a keyword on submission"
	}
	why := "For such a client, the answer of ehlogate takes the place of it."
	if e.config.ExplicitOffer && slices.ContainsFunc(s.maps, func(t table) bool { return t.kind == "memcache" }) {
		clients, why = "all clients", "With explicit_offer, ehlogate answers for every client, and its answer takes the place of it."
	}
	all, both, at := e.hiddenFromAll(s)
	if s.mapQueries && at.Parameter == smtpdKeywords && slices.Contains(all, "starttls") {
		e.add(Warning, "starttls-hidden-from-all", at, "STARTTLS is hidden from all clients for which ehlogate returns nothing",
			"The lists cannot offer it: for a client that is offered STARTTLS, ehlogate returns nothing. Remove starttls here, "+
				"and set default = \"suppress\" and explicit_offer = true instead.")
	}
	const silent = "silent-discard" // no keyword of EHLO: it keeps Postfix from logging what it hides
	lost, extra := without(all, slices.Concat(always, both, []string{silent, "starttls"})), without(always, append(all, silent))
	if len(lost) > 0 {
		if slices.Contains(lost, "chunking") {
			why += " CHUNKING is hidden because of SMTP smuggling: it would be offered to exactly these clients."
		}
		write := e.atTop("always_hide", "["+quoteAll(append(lowercase(e.config.AlwaysHide), lost...))+"]")
		e.add(Hazard, "keywords-lost", at, clients+" are offered "+strings.ToUpper(strings.Join(lost, ", "))+" again", why,
			append([]Write{write}, e.applyConfig(s)...)...)
	}
	if len(extra) > 0 {
		var write Write
		if at.Parameter == smtpdKeywords {
			write = at.adviseValue(strings.Join(append(splitList(s.value(smtpdKeywords)), extra...), ", "))
		}
		e.add(Warning, "keywords-extra", Place{File: e.file, Parameter: "always_hide", Value: "[" + quoteAll(e.config.AlwaysHide) + "]"},
			"ehlogate hides "+strings.ToUpper(strings.Join(extra, ", "))+" from "+clients+", and Postfix from no client",
			"always_hide should repeat "+at.Parameter+". Change one of the two.", write)
	}
}

// applyConfig returns the advice to have a smtpd follow the config: the daemon that it queries reads it anew, and its exported
// tables are exported again.
func (e *exam) applyConfig(s smtpd) (writes []Write) {
	if s.mapQueries || s.submissionQueries || s.filterQueries {
		writes = append(writes, reloadDaemon)
	}
	var commands []string
	for _, t := range s.maps {
		if e.isExported(s.view, t) {
			name, _ := t.textName(s.view)
			format, flags, _ := export.ParseHeader([]byte(e.textOf(s.view, t)))
			commands = append(commands, e.exportAgain(format, name, flags, nil, t.refreshCommand(name)))
		}
	}
	return append(writes, Write{shell, slices.Compact(commands)}) // two tables may be of one export
}

// hiddenFromAll returns the keywords that clients on no list are not offered, and where that is set: the first table that
// has every client decides, else the setting for all. both are those that ehlogate's answer is joined with (unionmap).
func (e *exam) hiddenFromAll(s smtpd) (all, both []string, at Place) {
	queries := false
	for _, entry := range splitEntries(s.value(smtpdMaps)) {
		behind := queries
		both = nil
		for _, part := range unionParts(entry) {
			for _, t := range parseTables(part) {
				queries = queries || t.needsDaemon() || e.isExported(s.view, t)
				if t.kind == "memcache" && !e.config.ExplicitOffer {
					all = append(all, e.keywordsOfBackup(s.view, t)...)
				}
			}
			both = append(both, e.keywordsOfAll(s.view, part)...)
		}
		if all = append(all, both...); len(all) > 0 {
			if behind { // a suppressed client does not get there
				both = nil
			}
			return all, both, s.place(smtpdMaps)
		}
	}
	return lowercase(splitList(s.value(smtpdKeywords))), nil, s.origin(smtpdKeywords)
}

func (e *exam) keywordsOfBackup(v view, t table) []string {
	m, err := e.readMemcacheTable(v, t, smtpdMaps, Place{})
	if err != nil {
		return nil
	}
	backup, _ := m.parameter("backup", "")
	return e.keywordsOfAll(v, backup)
}

// keywordsOfAll returns what a table has for clients that nothing can be known of, if it has one value for all of them.
func (e *exam) keywordsOfAll(v view, entry string) []string {
	if entry == "" {
		return nil
	}
	found, _ := e.lookUp(v, entry, strangers)
	for _, a := range strangers {
		if found[a] == "" || found[a] != found[strangers[0]] {
			return nil
		}
	}
	return lowercase(splitList(found[strangers[0]]))
}
