package listedit

import (
	"fmt"
	"io"
	"strings"
	"time"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/lists"
	"ehlogate/lists/filewatch"
	"ehlogate/lists/iptable"
	"ehlogate/lists/listfile"
	"ehlogate/lists/printable"
	"ehlogate/lists/secret"
)

// Entry is an entry of a list, as show and find report it. Its JSON is documented in ehlogate(8).
type Entry struct {
	List    string    `json:"list"`
	Action  string    `json:"action"` // of the list
	File    string    `json:"file"`
	Line    int       `json:"line"`
	Text    string    `json:"entry"`
	Until   time.Time `json:"until,omitzero"`
	Expired bool      `json:"expired"`
	Note    string    `json:"note,omitempty"`

	UnusedDays   int  `json:"unused_days,omitempty"`   // with --unused: since it last matched a session, or was first counted
	NeverMatched bool `json:"never_matched,omitempty"` // with --unused: it did not match since it was first counted
}

// String returns the entry in a line.
func (e *Entry) String() string {
	text := fmt.Sprintf("%s: %s", Place(e.File, e.Line), e.Text)
	if !e.Until.IsZero() {
		text += "  " + describeUntil(e.Until)
	}
	if e.Expired {
		text += "  expired"
	}
	switch {
	case e.NeverMatched:
		text += fmt.Sprintf("  no match in %d days", e.UnusedDays)
	case e.UnusedDays > 0:
		text += fmt.Sprintf("  last match %d days ago", e.UnusedDays)
	}
	if e.Note != "" {
		text += "  # " + printable.Escape(e.Note)
	}
	return text
}

// scan calls each for the entries of a list of files, in the order of its files. It keeps none of them, so that a feed of
// millions takes no memory.
func (e *Editor) scan(l *config.List, each func(Entry, *iptable.Item) error) error {
	files := filewatch.StatFiles(l.Spec.Patterns, nil)
	if err := files.Err(); err != nil {
		return err
	}
	now := e.Clock()
	for _, name := range files.Names() {
		yield := func(it *listfile.Item) error {
			if it.Part {
				return nil
			}
			entry := Entry{List: l.Name, Action: l.Action.String(), File: name, Line: it.Line, Text: it.Item.String(), Until: it.Until, Expired: it.Expired(now), Note: secret.MaskText(it.Note)}
			return each(entry, &it.Item)
		}
		err := files.Read(name, nil, false, func(r io.ReadSeeker) error {
			rules := l.Spec.Rules
			if l.Spec.Format == nil {
				return listfile.Parse(r, name, rules, yield)
			}
			rules.Findings = new(listfile.Findings)
			return l.Spec.Format.Parse(r, name, rules, yield)
		})
		if err != nil {
			return explainAccess(err)
		}
	}
	return nil
}

// ListReport is a list, as show reports it. Its JSON is documented in ehlogate(8).
type ListReport struct {
	Name       string   `json:"name"`
	Kind       string   `json:"kind"` // "files", "feed", "dns" or "learned"
	Action     string   `json:"action"`
	Hide       []string `json:"hide,omitempty"`
	Mode       string   `json:"mode"`
	Files      []string `json:"files,omitempty"`
	Entries    int      `json:"entries"`
	Exceptions int      `json:"exceptions"`
	Expired    int      `json:"expired"` // of both
	Error      string   `json:"error,omitempty"`
}

// Lists are all lists of a config. Its JSON is documented in ehlogate(8).
type Lists struct {
	Lists []ListReport `json:"lists"`
}

// DescribeLists reports on all lists of the config.
func (e *Editor) DescribeLists() Lists {
	out := Lists{Lists: []ListReport{}}
	for i := range e.Config.Lists {
		l := &e.Config.Lists[i]
		r := ListReport{Name: l.Name, Kind: kindOf(l), Action: l.Action.String(), Mode: l.Mode.String()}
		for name := range l.Hide.All() {
			r.Hide = append(r.Hide, name)
		}
		if l.IsOfFiles() {
			r.Files = filewatch.StatFiles(l.Spec.Patterns, nil).Names()
			err := e.scan(l, func(entry Entry, it *iptable.Item) error {
				if it.Exception {
					r.Exceptions++
				} else {
					r.Entries++
				}
				if entry.Expired {
					r.Expired++
				}
				return nil
			})
			if err != nil {
				r.Error = err.Error()
			}
		}
		out.Lists = append(out.Lists, r)
	}
	return out
}

func kindOf(l *config.List) string {
	switch {
	case l.IsDNSList():
		return "dns"
	case l.IsLearned():
		return "learned"
	case l.Spec.Format != nil:
		return "feed"
	}
	return "files"
}

// Text returns the lists in lines.
func (all Lists) Text() string {
	if len(all.Lists) == 0 {
		return "the config has no lists\n"
	}
	names, effects := 0, 0
	for i := range all.Lists {
		names, effects = max(names, len(all.Lists[i].Name)), max(effects, len(all.Lists[i].effect()))
	}
	var b strings.Builder
	for i := range all.Lists {
		l := &all.Lists[i]
		fmt.Fprintf(&b, "%-*s  %-*s  %s\n", names, l.Name, effects, l.effect(), l.content())
		if l.Error != "" {
			fmt.Fprintf(&b, "%*s  %s\n", names, "", printable.EscapeExcept(l.Error, "\n\t"))
		}
	}
	return b.String()
}

// effect returns what the list does.
func (l *ListReport) effect() string {
	var parts []string
	if l.Action != lists.NoAction.String() {
		parts = append(parts, l.Action)
	}
	if len(l.Hide) > 0 {
		parts = append(parts, "hides "+strings.Join(l.Hide, ", "))
	}
	if l.Mode == lists.Observe.String() {
		parts = append(parts, "observes")
	}
	return strings.Join(parts, ", ")
}

// content returns what is in the list.
func (l *ListReport) content() string {
	switch l.Kind {
	case "dns":
		return "DNS list"
	case "learned":
		return "learns from logs: ehlogate fallback"
	}
	text := plural(l.Entries, "entry", "entries")
	if l.Exceptions > 0 {
		text += ", " + plural(l.Exceptions, "exception", "exceptions")
	}
	if l.Expired > 0 {
		text += fmt.Sprintf(", %d expired", l.Expired)
	}
	return text + "  " + joinNames(l.Files)
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// Filter selects entries.
type Filter struct{ Expired bool }

// Entries are entries of lists. Its JSON is documented in ehlogate(8).
type Entries struct {
	Entries []Entry `json:"entries"`
}

// EachEntry calls each for the entries of a list, or of all lists of files if the name is "", that a filter selects.
func (e *Editor) EachEntry(list string, f Filter, each func(*Entry) error) error {
	chosen, err := e.chooseLists(list)
	if err != nil {
		return err
	}
	for _, l := range chosen {
		if err := e.scan(l, func(entry Entry, _ *iptable.Item) error {
			if f.Expired && !entry.Expired {
				return nil
			}
			return each(&entry)
		}); err != nil {
			return err
		}
	}
	return nil
}

// chooseLists returns the list of files with a name, or all of them.
func (e *Editor) chooseLists(name string) (chosen []*config.List, err error) {
	var known []string
	for i := range e.Config.Lists {
		l := &e.Config.Lists[i]
		known = append(known, l.Name)
		switch {
		case name == "" && l.IsOfFiles():
			chosen = append(chosen, l)
		case l.Name == name && !l.IsOfFiles():
			return nil, fmt.Errorf("list %q has no files", name)
		case l.Name == name:
			return []*config.List{l}, nil
		}
	}
	if name != "" {
		return nil, fmt.Errorf("no list %q in the config, only %s", name, joinNames(known))
	}
	return chosen, nil
}
