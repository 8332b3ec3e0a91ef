package page

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"ehlogate/cmd/ehlogate/internal/httpapi"
	"ehlogate/lists"
)

func (v *view) addLists() {
	if len(v.lists) == 0 {
		v.Unused = append(v.Unused, "lists")
		return
	}
	t := newTable("Lists, in the order in which they are searched", "List", "Does", "State", "number:Entries", "Loaded", "code:From", "wide:Last error")
	entries, faulty := 0, 0
	for i := range v.lists {
		entries += v.lists[i].Entries
		if v.lists[i].State != httpapi.StateOK {
			faulty++
		}
	}
	for _, isFaulty := range []bool{true, false} { // if there are many, those with faults come first
		for i := range v.lists {
			if l := &v.lists[i]; len(v.lists) <= maxRows && isFaulty || len(v.lists) > maxRows && isFaulty == (l.State != httpapi.StateOK) {
				v.addList(t, l)
			}
		}
	}
	lead := []string{v.say("%s with %s.", count(len(v.lists), "list"), describeEntries(entries))}
	if faulty > 0 && len(v.lists) > maxRows {
		lead = append(lead, v.say("The %s with faults come first.", groupDigits(faulty)))
	}
	v.addSection(section{ID: "lists", Title: "Lists and feeds", Lead: lead, Tables: []*table{t}})
}

func describeEntries(n int) string {
	if n == 1 {
		return "1 entry"
	}
	return groupDigits(n) + " entries"
}

func (v *view) addList(t *table, l *httpapi.ListStatus) {
	from := cell{Lines: slices.Clone(l.Files[:min(len(l.Files), 3)])}
	if more := len(l.Files) - len(from.Lines); more > 0 {
		from.Lines = append(from.Lines, fmt.Sprintf("and %s more", groupDigits(more)))
	}
	for _, z := range l.Zones[:min(len(l.Zones), 3)] {
		from.Lines = append(from.Lines, "zone "+z.Zone.String())
	}
	if l.Learn != "" {
		from.Lines = append(from.Lines, "learned: "+l.Learn)
	}
	var loaded cell
	if l.Loaded != nil {
		loaded = v.age(*l.Loaded)
	}
	switch left := l.Expires.Sub(v.Now); {
	case l.Expires.IsZero():
	case left > 0:
		loaded.Lines = []string{"expires " + describeAge(-left)}
	default:
		loaded.Lines = []string{"expired " + describeAge(-left)}
	}
	number := number(l.Entries)
	if len(l.Zones) > 0 {
		number.Text = ""
	}
	v.add(t, cell{Text: l.Name}, cell{Text: describeList(l)}, cell{Text: l.State, State: l.State}, number, loaded, from, v.errorCell(l.Error, l.Since))
}

// errorCell returns an error, and since when there is one.
func (v *view) errorCell(err string, since time.Time) cell {
	if err == "" {
		return cell{}
	}
	c := cell{Text: err}
	if !since.IsZero() {
		c.Lines = []string{"since " + since.Format(time.RFC3339)}
	}
	return c
}

// describeList returns what a list does.
func describeList(l *httpapi.ListStatus) string {
	var does []string
	if l.Action != lists.NoAction {
		does = append(does, l.Action.String())
	}
	if len(l.Hide) > 0 {
		does = append(does, "hide "+strings.Join(l.Hide, ", "))
	}
	text := strings.Join(does, ", ")
	if l.Mode == lists.Observe {
		text += " (observes)"
	}
	return text
}

func (v *view) addZones() {
	stats := v.snapshot.DNS.Stats()
	if v.snapshot.DNS == nil {
		v.Unused = append(v.Unused, "DNS lists")
		return
	}
	t := newTable("Zones of DNS lists, and reverse DNS", "Zone", "State", "Since", "number:Queries", "number:Failed", "number:Listed", "number:From cache", "wide:Last error")
	add := func(name, state string, since time.Time, queries, listed, hits uint64, failed map[string]uint64, err string) {
		failures := uint64(0)
		for _, n := range failed {
			failures += n
		}
		c := cell{Text: state, State: zoneStates[state]}
		v.add(t, cell{Text: name}, c, v.age(since), number(queries), number(failures), number(listed), number(hits), cell{Text: err})
	}
	for _, z := range stats.Zones {
		name := z.Zone.String()
		if z.ByName {
			name += " (by name)"
		}
		add(name, z.State, z.Since, z.Queries, z.Listed, z.Hits, z.Failed, z.Error)
	}
	if n := stats.Names; n != nil {
		add("reverse DNS", n.State, n.Since, n.Queries, n.Listed, n.Hits, n.Failed, n.Error)
	}
	v.addSection(section{ID: "zones", Title: "DNS", Tables: []*table{t},
		Lead: []string{v.say("%s in the cache. In flight: %s. Not sent, since too many were in flight: %s.", count(stats.Entries, "answer"), groupDigits(stats.InFlight), groupDigits(stats.Rejected))}})
}

// zoneStates are the signs of the states of a zone.
var zoneStates = map[string]string{"enabled": httpapi.StateOK, "unchecked": httpapi.StateDegraded, "disabled": httpapi.StateUnavailable}
