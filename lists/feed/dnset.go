package feed

import (
	"fmt"
	"strings"

	"ehlogate/lists/listfile"
)

// readDNSet reads a dnset of rbldnsd(8), as host names. NAME is the name itself, *.NAME all names below, and .NAME both.
// As in a list the name itself decides before its domains, longer ones before shorter ones, and of equal ones the
// exclusion.
func readDNSet(l *listfile.Lines, f Filtered) {
	z := newZone(l, f)
	z.entry = func(key word, _ bool) (items []*listfile.Item, end int, ok bool) {
		w := nextWord(l.Text, key.at, blanks)
		name, itself, below := w, true, false
		switch {
		case strings.HasPrefix(w.text, "*."):
			name, itself, below = w.withoutFirst(2), false, true
		case strings.HasPrefix(w.text, "."):
			name, below = w.withoutFirst(1), true
		}
		const forms = "write NAME, *.NAME for all names below, or .NAME for both"
		if strings.Trim(name.text, "0123456789.") == "" || name.text[0] == '.' {
			skipAt(l, w, fmt.Sprintf("invalid host name %q", w.text), forms+"; for addresses set format = \"rbldnsd-ip4set\"")
			return nil, 0, false
		}
		normal, err := listfile.ParseHostName(name.text)
		if err != nil {
			skipSyntax(l, name, err, forms)
			return nil, 0, false
		}
		if itself {
			items = append(items, newName(w, normal))
		}
		if below {
			items = append(items, newName(w, "."+normal))
		}
		return items, w.endOffset(), true
	}
	z.readEntries()
}
