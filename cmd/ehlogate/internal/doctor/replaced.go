package doctor

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// replaced looks for -o lines that take the place of what the operator has, and for those of the operator that take the
// place of ehlogate's.
func (e *exam) replaced(v view) {
	for _, param := range append(slices.Clip(restrictions), smtpdMilters, smtpdFilter, smtpdMaps) {
		if e.twice(v, param) {
			continue
		}
		value, set := v.svc.Params[param]
		gate, own := e.split(v, param, value)
		_, lost := e.split(v, param, v.pf.Main[param])
		if !set || len(gate) == 0 || len(own) > 0 || len(lost) == 0 {
			continue
		}
		f := Finding{
			ID: "setting-replaced", Severity: Warning, Place: v.place(param),
			What: fmt.Sprintf("%s of main.cf is not in force here: %s", param, strings.Join(lost, ", ")),
			Why:  "A -o line replaces the setting of main.cf; it does not add to it.",
		}
		writes := []Write{v.option(param, beside(param, gate, lost))}
		switch param {
		case smtpdMaps:
			if len(lost) > 1 {
				f.Why += " The first table that knows a client decides: repeat in always_hide what the others hide from suppressed clients."
			}
		case smtpdFilter:
			f.Why += " There can be one command filter only. A unionmap asks both; no command may be in both."
		case smtpdMilters:
			writes = e.askMilter(v)
		default:
			writes = e.askPolicy(v)
		}
		e.advise(f, writes)
	}
}

// twice reports whether two -o options of one name have different values, one of which asks ehlogate: the last is in force.
func (e *exam) twice(v view, param string) bool {
	ask, both := e.merged(v, param)
	if both == "" {
		return false
	}
	why := "The last one counts: what the first one names does not act."
	if !ask {
		why = "The last one counts: ehlogate is not asked here."
	}
	e.add(Finding{
		ID: "setting-replaced", Severity: Warning, Place: v.place(param),
		What: fmt.Sprintf("-o %s is there twice: %s is in force, and %s is not", param,
			cmp.Or(v.svc.Params[param], "the empty value"), v.svc.Earlier[param]),
		Why:   why + " The command leaves one line, with both.",
		Write: v.option(param, both),
	})
	return true
}

// merged returns what two -o options of one name say together; empty if one of them says it all, or ehlogate is in neither.
// ask reports whether the one that is in force asks ehlogate.
func (e *exam) merged(v view, param string) (ask bool, both string) {
	first, is := v.svc.Earlier[param]
	if !is {
		return false, ""
	}
	gate, own := e.split(v, param, v.svc.Params[param])
	goneGate, goneOwn := e.split(v, param, first)
	if strings.HasPrefix(first, "$ehlogate_") { // postconf -n leaves a parameter out that is not in use
		goneGate, goneOwn = entries(first), nil
	}
	goneOwn = slices.DeleteFunc(goneOwn, func(entry string) bool { return slices.Contains(own, entry) })
	switch ask = len(gate) > 0; {
	case ask && len(goneOwn) > 0:
	case !ask && len(goneGate) > 0:
		gate = goneGate
	default:
		return ask, ""
	}
	return ask, beside(param, gate, append(goneOwn, own...))
}

// doubled finds lists that ask ehlogate twice, as when a line of the examples was pasted a second time.
func (e *exam) doubled(v view) {
	for _, param := range append(slices.Clip(restrictions), smtpdMilters) {
		n := 0
		for _, entry := range entries(v.get(param)) {
			if e.asksEhlogate(v, param, entry) {
				n++
			}
		}
		if n < 2 {
			continue
		}
		value, at, _ := v.raw(param)
		var once []string
		found := false
		for _, item := range entries(value) {
			gate, own := e.split(v, param, item)
			if len(gate) > 0 && found {
				once = append(once, own...)
				continue
			}
			found = found || len(gate) > 0
			once = append(once, item)
		}
		e.add(Finding{
			ID: "asked-twice", Severity: Warning, Place: v.place(param),
			What:  fmt.Sprintf("%s asks ehlogate %d times", param, n),
			Why:   "Every message waits for each answer, and the decision is logged as often. One entry is enough.",
			Write: at.set(strings.Join(once, ", ")),
		})
	}
}

// beside is a setting that has both ehlogate's entries and the operator's. One table beside another is asked by unionmap,
// which gives what either says; of several, as in smtpd_discard_ehlo_keyword_address_maps, the first that knows a client
// decides.
func beside(param string, gate, own []string) string {
	if len(own) == 1 && (param == smtpdMaps || param == smtpdFilter) {
		if inner, ok := union(own[0]); ok {
			own = entries(inner)
		}
		return unionOf(append(slices.Clip(gate), own...))
	}
	return strings.Join(append(slices.Clip(gate), own...), ", ")
}
