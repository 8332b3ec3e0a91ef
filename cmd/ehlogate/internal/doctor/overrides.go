package doctor

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// checkReplacedSettings looks for -o lines that replace the operator's settings, and for those of the operator that
// replace ehlogate's.
func (e *exam) checkReplacedSettings(s smtpd) {
	for _, param := range append(slices.Clip(restrictions), smtpdMilters, smtpdFilter, smtpdMaps) {
		if e.checkRepeatedOption(s.view, param) {
			continue
		}
		value, set := s.svc.Params[param]
		asking, own := e.separate(s.view, param, value)
		_, lost := e.separate(s.view, param, s.pf.Main[param])
		if param == smtpdMaps && s.isSubmission() {
			lost = e.withoutSuppressing(s.view, strings.Join(lost, ", "))
		}
		if !set || len(asking) == 0 || len(own) > 0 || len(lost) == 0 {
			continue
		}
		why := "A -o line replaces the setting of main.cf; it does not add to it."
		writes := []Write{s.setOption(param, combine(param, asking, lost))}
		switch param {
		case smtpdMaps:
			if len(lost) > 1 {
				why += " The first table that has a client decides: repeat in always_hide what the others hide from suppressed clients."
			}
		case smtpdFilter:
			why += " There can be only one command filter. A unionmap queries both; no command may be in both."
		case smtpdMilters:
			writes = e.adviseMilter(s.view)
		default:
			writes = e.advisePolicy(s.view)
		}
		e.add(Warning, "setting-replaced", s.place(param), fmt.Sprintf("%s of main.cf has no effect here: %s", param, strings.Join(lost, ", ")), why, writes...)
	}
}

// checkRepeatedOption reports whether two -o options of one name have different values, one of which queries ehlogate.
func (e *exam) checkRepeatedOption(v view, param string) bool {
	asks, both := e.mergeOptions(v, param)
	if both == "" {
		return false
	}
	why := "The last one counts: the first one has no effect."
	if !asks {
		why = "The last one counts: ehlogate is not queried here."
	}
	e.add(Warning, "setting-replaced", v.place(param), fmt.Sprintf("duplicate -o %s: %s is in effect, and %s is not", param,
		cmp.Or(v.svc.Params[param], "the empty value"), v.svc.Earlier[param]),
		why+" The command leaves one line, with both values.", v.setOption(param, both))
	return true
}

// mergeOptions returns what two -o options of one name say together; empty if one of them says it all, or neither
// queries ehlogate. asks reports whether the option that is in effect queries it.
func (e *exam) mergeOptions(v view, param string) (asks bool, both string) {
	first := v.svc.Earlier[param]
	asking, own := e.separate(v, param, v.svc.Params[param])
	lostAsking, lostOwn := e.separate(v, param, first)
	if strings.HasPrefix(first, "$ehlogate_") { // postconf -n leaves a parameter out that is not in use
		lostAsking, lostOwn = splitEntries(first), nil
	}
	lostOwn = without(lostOwn, own)
	switch asks = len(asking) > 0; {
	case asks && len(lostOwn) > 0:
	case !asks && len(lostAsking) > 0:
		asking = lostAsking
	default:
		return asks, ""
	}
	return asks, combine(param, asking, append(lostOwn, own...))
}

// listSettings returns the settings that are lists of which ehlogate may be one entry.
func listSettings() []string {
	return append(slices.Clip(restrictions), smtpdMilters, smtpdFilter, smtpdMaps, screenMaps, screenFilter)
}

func (v view) restrictionLists() []string {
	return append(slices.Clip(restrictions), splitList(v.value(restrictionClasses))...)
}

// separate separates the entries of a list setting that query ehlogate from the operator's own. They are as written,
// without those that are empty for this service.
func (e *exam) separate(v view, param, value string) (asking, own []string) {
	return separateEntries(v, value, false, func(entry string) bool { return e.queriesEhlogate(v, param, entry) })
}

// separateEntries separates the entries of a list setting of which isOurs is true from the others.
func separateEntries(v view, value string, expanded bool, isOurs func(entry string) bool) (asking, own []string) {
	for _, item := range splitEntries(value) {
		var ours, theirs []string
		inner, isUnion := insideUnion(item)
		switch {
		case isUnion:
			ours, theirs = separateEntries(v, inner, expanded, isOurs)
		case !expanded:
			ours, theirs = separateEntries(v, v.expandEntry(item), true, isOurs)
		case isOurs(item):
			ours = []string{item}
		default:
			theirs = []string{item}
		}
		switch {
		case len(ours) > 0 && len(theirs) == 0:
			ours = []string{item}
		case len(theirs) > 0 && len(ours) == 0:
			theirs = []string{item}
		case isUnion && len(theirs) > 1:
			theirs = []string{unionOf(theirs)}
		}
		asking, own = append(asking, ours...), append(own, theirs...)
	}
	return asking, own
}

func (e *exam) queriesEhlogate(v view, param, entry string) bool {
	switch param {
	case smtpdMaps, smtpdFilter, screenMaps, screenFilter:
		return slices.ContainsFunc(parseTables(entry), table.needsDaemon)
	}
	addr, proto := serviceAddress(param, entry)
	return e.reachesEhlogate(v, addr, proto)
}

// serviceAddress returns the address of a milter or policy service in an entry of a list setting, and the protocol.
func serviceAddress(param, entry string) (addr, proto string) {
	if param == smtpdMilters {
		return parseServiceEntry(entry).addr, milterProto
	}
	keyword, spec, _ := strings.Cut(strings.TrimPrefix(entry, "warn_if_reject "), " ")
	if !strings.EqualFold(keyword, policyKeyword) {
		return "", ""
	}
	return parseServiceEntry(spec).addr, policyProto
}

func (e *exam) withoutEhlogate(v view, param string) string {
	_, own := e.separate(v, param, v.origin(param).Value)
	return strings.Join(own, ", ")
}

// combine returns a setting that has both ehlogate's entries and the operator's. Two tables are combined by unionmap,
// which returns what either has. Of several in smtpd_discard_ehlo_keyword_address_maps, the first that has a client
// decides.
func combine(param string, asking, own []string) string {
	if len(own) == 1 && (param == smtpdMaps || param == smtpdFilter) {
		if inner, ok := insideUnion(own[0]); ok {
			own = splitEntries(inner)
		}
		return unionOf(append(slices.Clip(asking), own...))
	}
	return strings.Join(append(slices.Clip(asking), own...), ", ")
}
