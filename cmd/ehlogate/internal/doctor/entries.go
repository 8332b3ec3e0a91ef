package doctor

import (
	"slices"
	"strings"
)

// split takes the entries of a list setting apart: those by which ehlogate is asked, and the operator's own. They are as
// written, without those that are empty for this service.
func (e *exam) split(v view, param, value string) (gate, own []string) {
	x := v.expander() // one for all entries, for its limits
	var all func(items []string, expanded bool) (gate, own []string)
	one := func(item string, expanded bool) (gate, own []string) {
		inner, isUnion := union(item)
		parts := entries(inner)
		switch {
		case isUnion:
		case expanded && e.asksEhlogate(v, param, item):
			return []string{item}, nil
		case expanded:
			return nil, []string{item}
		default:
			parts, expanded = entries(x.expand(item, 0)), true
		}
		gate, own = all(parts, expanded)
		switch {
		case len(gate) > 0 && len(own) == 0:
			return []string{item}, nil
		case len(own) > 0 && len(gate) == 0:
			return nil, []string{item}
		case isUnion && len(own) > 1:
			own = []string{unionOf(own)}
		}
		return gate, own
	}
	all = func(items []string, expanded bool) (gate, own []string) {
		for _, item := range items {
			g, o := one(item, expanded)
			gate, own = append(gate, g...), append(own, o...)
		}
		return gate, own
	}
	return all(entries(value), false)
}

// union returns what is in a unionmap.
func union(item string) (inner string, ok bool) {
	rest, ok := strings.CutPrefix(item, "unionmap:")
	inner, n := balanced(rest)
	return inner, ok && n > 0 && n == len(rest)
}

func unionOf(tables []string) string { return "unionmap:{" + strings.Join(tables, ", ") + "}" }

// entries splits a list; what belongs to a keyword stays behind it.
func entries(value string) []string {
	out := words(value)
	for i := len(out) - 2; i >= 0; i-- {
		if takesArgument(out[i]) {
			out[i] += " " + out[i+1]
			out = slices.Delete(out, i+1, i+2)
		}
	}
	return out
}

// takesArgument reports whether a word of a restriction list says something about the next one.
func takesArgument(word string) bool {
	word = strings.ToLower(word)
	for _, prefix := range []string{"check_", "reject_rbl_client", "reject_rhsbl_", "permit_dnswl_client", "permit_rhswl_client"} {
		if strings.HasPrefix(word, prefix) {
			return true
		}
	}
	return word == "warn_if_reject" || word == "sleep"
}

// asksEhlogate reports whether one entry of a list setting asks ehlogate.
func (e *exam) asksEhlogate(v view, param, entry string) bool {
	proto := policyProto
	switch param {
	case smtpdMaps, smtpdFilter, screenMaps, screenFilter:
		return slices.ContainsFunc(tables(entry), table.asks)
	case smtpdMilters:
		proto = milterProto
	default:
		keyword, spec, ok := strings.Cut(strings.TrimPrefix(entry, "warn_if_reject "), " ")
		if !ok || !strings.EqualFold(keyword, policyKeyword) {
			return false
		}
		entry = spec
	}
	p, err := v.endpoint(parseAsked(entry).addr)
	return err == nil && (e.gate.protocolAt(p) != "" || e.outside(v, p, proto))
}
