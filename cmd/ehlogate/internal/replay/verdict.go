package replay

import (
	"cmp"
	"slices"

	"ehlogate/lists"
)

// Verdict is what a policy decides about a session. That of a policy that observes is what it would enforce.
type Verdict struct {
	lists.Verdict
	Hide lists.Keywords  // hidden besides STARTTLS
	By   []lists.Verdict // the lists that hide them
}

func newVerdict(d lists.Decision) (v Verdict) {
	v.Verdict, _ = d.WithoutObserve()
	if d.Hidden == nil {
		return v
	}
	for _, by := range d.Hidden.By {
		if hide := by.List.Hide &^ lists.SilentDiscard; hide != 0 && by.List.Mode == lists.Enforce {
			v.Hide |= hide
			v.By = append(v.By, by)
		}
	}
	return v
}

// words returns the action, and what is hidden besides.
func (v *Verdict) words() string {
	if v.Hide == 0 {
		return v.Action.String()
	}
	return v.Action.String() + ", hides " + v.Hide.String()
}

// Hidden is what one list would hide besides STARTTLS.
type Hidden struct {
	List     string        `json:"list"`
	Service  lists.Service `json:"service"`
	Keywords []string      `json:"keywords"`
	Sessions int64         `json:"sessions"`
}

// hidden is what a list hides, from the clients of a service.
type hidden struct {
	list    string
	service lists.Service
	hide    lists.Keywords
}

func (t *Tally) addHidden(service lists.Service, v *Verdict) {
	for _, by := range v.By {
		t.hidden[hidden{by.List.Name, service, by.List.Hide &^ lists.SilentDiscard}]++
	}
}

func (t *Tally) reportHidden() []Hidden {
	all := []Hidden{}
	for h, sessions := range t.hidden {
		all = append(all, Hidden{h.list, h.service, slices.Collect(h.hide.All()), sessions})
	}
	slices.SortFunc(all, func(a, b Hidden) int {
		return cmp.Or(cmp.Compare(b.Sessions, a.Sessions), cmp.Compare(a.List, b.List), cmp.Compare(a.Service, b.Service))
	})
	return all
}
