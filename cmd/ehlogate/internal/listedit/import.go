package listedit

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/lists"
	"ehlogate/lists/diag"
	"ehlogate/lists/filewatch"
	"ehlogate/lists/iptable"
	"ehlogate/lists/listfile"
	"ehlogate/lists/printable"
)

// Import is where the entries of an import come from.
type Import struct {
	File      string
	Format    listfile.Grammar // nil: a list file
	Attribute string           // of entries that do not end by themselves; see Expiry
	Reason    string
}

// Imported is what an import found.
type Imported struct {
	Plan    *Plan
	All     int           // entries in the file
	Known   int           // of these, those that the list has already, or that the file has more than once
	Expired int           // of these, those that have expired
	Skipped diag.Problems // lines that have no effect
}

// Text returns how many entries there are, and how many of them are added.
func (i *Imported) Text() string {
	parts := []string{fmt.Sprintf("%d new", i.All-i.Known-i.Expired)}
	if i.Known > 0 {
		parts = append(parts, fmt.Sprintf("%d covered already", i.Known))
	}
	if i.Expired > 0 {
		parts = append(parts, fmt.Sprintf("%d expired", i.Expired))
	}
	return plural(i.All, "entry", "entries") + ": " + strings.Join(parts, ", ") + "\n"
}

// PlanImport plans to add the entries of a file to a list, but for those that it has.
func (e *Editor) PlanImport(list string, from Import) (*Imported, error) {
	l, err := e.findList(list)
	if err != nil {
		return nil, err
	}
	file, err := e.chooseFile(l)
	if err != nil {
		return nil, err
	}
	items, skipped, err := e.readImport(l, from)
	if err != nil {
		return nil, err
	}
	if from.Attribute != "" {
		ends, err := parseLine("192.0.2.1 " + from.Attribute)
		if err != nil {
			return nil, fmt.Errorf("invalid %s: write a date such as 2026-12-01, or a time such as 2026-12-01T18:00:00Z", from.Attribute)
		}
		if err := e.checkExpiry(from.Attribute, &ends); err != nil {
			return nil, err
		}
		for i := range items {
			if items[i].Until.IsZero() {
				items[i].Until = ends.Until
			}
		}
	}
	out := &Imported{All: len(items), Skipped: skipped}
	out.Plan, err = e.plan(l, file, Record{Command: "import", Reason: from.Reason}, func(text []byte) ([]Hunk, error) {
		missing, expired, err := e.findMissing(l, items)
		if err != nil {
			return nil, err
		}
		out.Known, out.Expired = len(items)-len(missing)-expired, expired
		switch {
		case len(missing) == 0 && expired > 0:
			return nil, nothingError(fmt.Sprintf("list %q has all of it already that has not expired", l.Name))
		case len(missing) == 0:
			return nil, nothingError(fmt.Sprintf("list %q has all of it already", l.Name))
		}
		return []Hunk{{len(parseDocument(text).lines) + 1, nil, e.importLines(missing, from, lineEnd(text))}}, nil
	})
	return out, err
}

// readImport returns the entries of a file that obey the rules of a list.
func (e *Editor) readImport(l *config.List, from Import) (items []iptable.Item, skipped diag.Problems, err error) {
	abs, err := filepath.Abs(from.File)
	if err != nil {
		return nil, skipped, err
	}
	spec := listfile.Spec{Patterns: []string{filewatch.EscapeGlob(abs)}, Rules: l.Spec.Rules, Format: from.Format, MaxEntries: e.Config.MaxEntries, Named: true}
	read, err := listfile.New(spec, e.Clock).LoadWith(nil, func() func(*listfile.Item) {
		items = nil
		return func(it *listfile.Item) { items = append(items, splitDomain(it.Item)...) }
	})
	if err != nil {
		return nil, skipped, err
	}
	return items, read.Status().Skipped, nil
}

// splitDomain returns the entries by which a list file says the same: it has a name and the names below it apart.
func splitDomain(it iptable.Item) []iptable.Item {
	if it.Kind != iptable.Domain {
		return []iptable.Item{it}
	}
	it.Kind = iptable.Name
	below := it
	below.Name = "." + it.Name
	return []iptable.Item{it, below}
}

// maxNote is how many bytes of a note are imported.
const maxNote = 200

// condition is what two entries have in common that match the same clients.
type condition struct {
	kind      iptable.Kind
	exception bool
	from, to  string
}

func conditionOf(it *iptable.Item) condition {
	if it.Kind == iptable.Address {
		return condition{it.Kind, it.Exception, it.From.String(), it.To.String()}
	}
	return condition{it.Kind, it.Exception, it.Name, ""}
}

// findMissing returns the entries that a list does not have, each once: not as they are, and addresses not within a network.
// Those that have expired are counted.
func (e *Editor) findMissing(l *config.List, items []iptable.Item) (missing []iptable.Item, expired int, err error) {
	have := map[condition]time.Time{}
	source, err := listfile.New(l.Spec, e.Clock).LoadWith(nil, func() func(*listfile.Item) {
		clear(have)
		return func(it *listfile.Item) { have[conditionOf(&it.Item)] = it.Until }
	})
	if err != nil {
		return nil, 0, err
	}
	for i := range items {
		it := &items[i]
		if it.Expired(e.Clock()) {
			expired++
			continue
		}
		key := conditionOf(it)
		if until, ok := have[key]; ok && lastsAsLong(until, it.Until) {
			continue
		}
		if it.Kind == iptable.Address && it.From == it.To && !it.Exception {
			c := lists.Client{Addr: it.From}
			if m := source.Lookup(c); m.Status == lists.Matched && lastsAsLong(m.Entry(c.Addr).Until, it.Until) {
				continue
			}
		}
		have[key] = it.Until
		missing = append(missing, *it)
	}
	return missing, expired, nil
}

// importLines returns the lines of an import, below a comment that says what it is.
func (e *Editor) importLines(items []iptable.Item, from Import, end string) []string {
	about := plural(len(items), "entry", "entries") + " imported from " + printable.Escape(filepath.Base(from.File))
	if from.Reason != "" {
		about += ": " + from.Reason
	}
	lines := []string{fmt.Sprintf("# %s (%s, %s)", about, e.User, e.Clock().UTC().Format(time.DateOnly)) + end}
	for i := range items {
		it := &items[i]
		line := it.String()
		if !it.Until.IsZero() {
			line += " " + formatUntil(it.Until)
		}
		if it.Note != "" {
			line += "  # " + printable.Shorten(it.Note, maxNote)
		}
		lines = append(lines, line+end)
	}
	return slices.Clip(lines)
}
