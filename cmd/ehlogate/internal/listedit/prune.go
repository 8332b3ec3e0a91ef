package listedit

import (
	"slices"

	"ehlogate/cmd/ehlogate/internal/config"
)

// PlanPrune plans to cut the expired entries of a list, or of all of the operator's own lists if the name is "". There is
// a plan for each file that has any.
func (e *Editor) PlanPrune(list, reason string) (plans []*Plan, err error) {
	var chosen []*config.List
	if list != "" {
		l, err := e.findList(list)
		if err != nil {
			return nil, err
		}
		chosen = []*config.List{l}
	} else {
		for i := range e.Config.Lists {
			if l := &e.Config.Lists[i]; IsOwn(l) {
				chosen = append(chosen, l)
			}
		}
	}
	var seen []string
	for _, l := range chosen {
		files, err := e.files(l)
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			if slices.Contains(seen, file) { // of two lists
				continue
			}
			seen = append(seen, file)
			p, err := e.plan(l, file, Record{Command: "prune", Reason: reason}, func(text []byte) ([]Hunk, error) {
				return cutHunks(l, file, text, func(p *placed) bool { return p.Expired(e.Clock()) })
			})
			if err != nil {
				return nil, err
			}
			if p.Nothing == "" {
				plans = append(plans, p)
			}
		}
	}
	return plans, nil
}
