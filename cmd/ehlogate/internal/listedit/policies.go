package listedit

import (
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"slices"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/cmd/ehlogate/internal/state"
	"ehlogate/lists"
	"ehlogate/lists/iptable"
	"ehlogate/lists/listfile"
)

// policies are the policy before and after an edit of one file.
type policies struct {
	before, after policy
	tables        []*iptable.Table // of both; decisions change at their boundaries alone
	lists         map[string]*listfile.List
	without       []string // what only the daemon knows of lists that are searched before, and what cannot be loaded
}

// loadPolicies loads the lists, and those of which text takes the place of a file once more.
func (e *Editor) loadPolicies(file string, text []byte) (*policies, error) {
	snapshot := state.Load(e.Config, e.Clock).Snapshot()
	ps := &policies{lists: map[string]*listfile.List{}}
	changed := map[int]bool{}
	for _, i := range e.listsOf(file) {
		changed[i] = true
	}
	before, after := *snapshot.Policy, *snapshot.Policy
	for _, p := range []*lists.Policy{&before, &after} {
		p.Lists, p.Limit, p.Names, p.FailOpen, p.Wait = nil, nil, nil, nil, 0
	}
	for i, l := range snapshot.Policy.Lists {
		source := snapshot.Sources[i].File
		if source == nil {
			if len(changed) > 0 && i < slices.Max(slices.Collect(maps.Keys(changed))) {
				ps.without = append(ps.without, describeExternal(&e.Config.Lists[i]))
			}
			continue
		}
		ps.addTable(source)
		ps.lists[l.Name] = source
		before.Lists = append(before.Lists, l)
		if changed[i] {
			next, err := source.LoadWith(map[string][]byte{file: text}, nil)
			if err != nil {
				return nil, err
			}
			ps.addTable(next)
			l = new(*l)
			l.Source = next
		}
		after.Lists = append(after.Lists, l)
	}
	for _, err := range snapshot.Unavailable() {
		ps.without = append(ps.without, err.Error())
	}
	limits := e.Config.Limit != nil
	ps.before, ps.after = policy{&before, limits}, policy{&after, limits}
	return ps, nil
}

// describeExternal returns why a list cannot be taken into account.
func describeExternal(l *config.List) string {
	if l.IsDNSList() {
		return fmt.Sprintf("list %q is a DNS list, which is not queried here", l.Name)
	}
	return fmt.Sprintf("list %q learns: only the daemon has what it learned", l.Name)
}

func (ps *policies) addTable(l *listfile.List) {
	if t := l.Table(); t != nil {
		ps.tables = append(ps.tables, t)
	}
}

// boundaries returns the addresses at which a decision may change, in order.
func (ps *policies) boundaries() iter.Seq[netip.Addr] {
	var all []iter.Seq[netip.Addr]
	for _, t := range ps.tables {
		all = append(all, t.Boundaries())
	}
	return iptable.MergeBoundaries(all)
}
