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
	return e.separateAll(v, param, splitEntries(value), false)
}

func (e *exam) separateAll(v view, param string, items []string, expanded bool) (asking, own []string) {
	for _, item := range items {
		a, o := e.separateOne(v, param, item, expanded)
		asking, own = append(asking, a...), append(own, o...)
	}
	return asking, own
}

func (e *exam) separateOne(v view, param, item string, expanded bool) (asking, own []string) {
	inner, isUnion := insideUnion(item)
	parts := splitEntries(inner)
	switch {
	case isUnion:
	case expanded && e.queriesEhlogate(v, param, item):
		return []string{item}, nil
	case expanded:
		return nil, []string{item}
	default:
		parts, expanded = splitEntries(v.expandEntry(item)), true
	}
	asking, own = e.separateAll(v, param, parts, expanded)
	switch {
	case len(asking) > 0 && len(own) == 0:
		return []string{item}, nil
	case len(own) > 0 && len(asking) == 0:
		return nil, []string{item}
	case isUnion && len(own) > 1:
		own = []string{unionOf(own)}
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
	value, _, _ := v.written(param)
	_, own := e.separate(v, param, value)
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
