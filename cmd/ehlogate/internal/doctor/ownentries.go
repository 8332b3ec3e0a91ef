package doctor

import (
	"slices"
	"strings"
)

// listSettings returns the settings that are lists of which ehlogate may be one entry.
func listSettings() []string {
	return append(slices.Clip(restrictions), smtpdMilters, smtpdFilter, smtpdMaps, screenMaps, screenFilter)
}

// restrictionLists returns all lists of access restrictions that a service may have.
func (v view) restrictionLists() []string {
	return append(slices.Clip(restrictions), splitList(v.value(restrictionClasses))...)
}

// separate separates the entries of a list setting that query ehlogate from the operator's own. They are as written,
// without those that are empty for this service.
func (e *exam) separate(v view, param, value string) (asking, own []string) {
	return e.separateEntries(v, param, value, false)
}

func (e *exam) separateEntries(v view, param, value string, expanded bool) (asking, own []string) {
	for _, item := range splitEntries(value) {
		a, o := []string{item}, []string(nil)
		inner, isUnion := insideUnion(item)
		switch {
		case isUnion:
			a, o = e.separateEntries(v, param, inner, expanded)
		case !expanded:
			a, o = e.separateEntries(v, param, v.expandEntry(item), true)
		case !e.queriesEhlogate(v, param, item):
			a, o = o, a
		}
		switch {
		case len(a) > 0 && len(o) == 0:
			a = []string{item}
		case len(o) > 0 && len(a) == 0:
			o = []string{item}
		case isUnion && len(o) > 1:
			o = []string{unionOf(o)}
		}
		asking, own = append(asking, a...), append(own, o...)
	}
	return asking, own
}

// queriesEhlogate reports whether one entry of a list setting queries ehlogate.
func (e *exam) queriesEhlogate(v view, param, entry string) bool {
	proto := policyProto
	switch param {
	case smtpdMaps, smtpdFilter, screenMaps, screenFilter:
		return slices.ContainsFunc(parseTables(entry), table.needsDaemon)
	case smtpdMilters:
		proto = milterProto
	default:
		keyword, spec, ok := strings.Cut(strings.TrimPrefix(entry, "warn_if_reject "), " ")
		if !ok || !strings.EqualFold(keyword, policyKeyword) {
			return false
		}
		entry = spec
	}
	return e.reachesEhlogate(v, parseServiceEntry(entry).addr, proto)
}

// withoutEhlogate returns a setting without the entries that query ehlogate.
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
