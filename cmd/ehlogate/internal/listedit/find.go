package listedit

import (
	"fmt"
	"strings"

	"ehlogate/lists"
	"ehlogate/lists/iptable"
)

// Found is what find reports. Its JSON is documented in ehlogate(8).
type Found struct {
	Query    string   `json:"query"`
	Entries  []Entry  `json:"entries"`            // in the order of the lists
	Decision string   `json:"decision,omitempty"` // for one client, by the lists on disk
	By       *Entry   `json:"by,omitempty"`       // the entry that decides; absent: no entry does
	Reason   string   `json:"reason,omitempty"`   // why, if no entry decides
	Without  []string `json:"without,omitempty"`  // what is not taken into account
	Errors   []string `json:"errors,omitempty"`   // of lists that cannot be read as a whole
}

// Find returns the entries that match a client, an address or a name, or overlap a network, a range or a domain; and
// the decision on a client.
func (e *Editor) Find(word string) (*Found, error) {
	query, err := ParseEntry(word)
	if err != nil {
		return nil, err
	}
	found := &Found{Query: query.String(), Entries: []Entry{}}
	chosen, err := e.chooseLists("")
	if err != nil {
		return nil, err
	}
	for _, l := range chosen {
		if err := e.scan(l, func(entry Entry, it *iptable.Item) error {
			if overlaps(&query, it) {
				found.Entries = append(found.Entries, entry)
			}
			return nil
		}); err != nil {
			found.Errors = append(found.Errors, fmt.Sprintf("list %q cannot be read: %v", l.Name, err))
		}
	}
	for i := range e.Config.Lists {
		if l := &e.Config.Lists[i]; !l.IsOfFiles() {
			found.Without = append(found.Without, describeExternal(l))
		}
	}
	if query.From != query.To || strings.HasPrefix(query.Name, ".") {
		return found, nil // not one client
	}
	ps, err := e.loadPolicies("", nil)
	if err != nil {
		return nil, err
	}
	outcome, v := ps.before.decide(probe(&query))
	found.Decision, found.Reason = outcome.String(), outcome.explain(v)
	if v.Reason == lists.ReasonListed {
		by := v.Entry()
		found.By = &Entry{List: v.ListName(), Action: v.Action.String(), File: by.File, Line: by.Line, Text: by.Text, Until: by.Until, Note: by.Note}
	} else if observed := ps.before.explainObserved(probe(&query)); observed != "" {
		found.Reason = `mode = "observe"; ` + observed
	}
	return found, nil
}

// overlaps reports whether a client can match both entries. A name is that of a host, or what the client claims in HELO.
func overlaps(query, it *iptable.Item) bool {
	switch {
	case (query.Kind == iptable.Address) != (it.Kind == iptable.Address):
		return false
	case query.Kind == iptable.Address:
		return query.From.Compare(it.To) <= 0 && it.From.Compare(query.To) <= 0
	case query.Kind == iptable.HELO && it.Kind != iptable.HELO:
		return false
	}
	return query.Name == it.Name || isBelow(query.Name, it.Name) || isBelow(it.Name, query.Name)
}

// isBelow reports whether a name is below a domain, which has a leading dot.
func isBelow(name, domain string) bool {
	return strings.HasPrefix(domain, ".") && (domain == "." || strings.HasSuffix(name, domain))
}

// Text returns what was found in lines.
func (f *Found) Text() string {
	var b strings.Builder
	for i := range f.Entries {
		entry := &f.Entries[i]
		fmt.Fprintf(&b, "%s  list %q, %s\n", entry, entry.List, entry.Action)
	}
	if len(f.Entries) == 0 {
		fmt.Fprintf(&b, "%s: no entry matches\n", f.Query)
	}
	switch {
	case f.By != nil:
		fmt.Fprintf(&b, "%s: %s, by %s\n", f.Query, f.Decision, Place(f.By.File, f.By.Line))
	case f.Decision != "":
		fmt.Fprintf(&b, "%s: %s, since %s\n", f.Query, f.Decision, f.Reason)
	}
	for _, without := range f.Without {
		fmt.Fprintf(&b, "  not taken into account: %s\n", without)
	}
	return b.String()
}
