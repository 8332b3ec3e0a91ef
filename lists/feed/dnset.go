package feed

import (
	"cmp"
	"strings"

	"ehlogate/lists/listfile"
)

// readDNSet reads a dnset of rbldnsd(8), as host names. A name is itself,
// *.NAME all below, and .NAME both. As in a list, the name itself counts before
// what is above it, the longest name before shorter ones, and of equal ones the
// exclusion.
func readDNSet(l *listfile.Lines) {
	z := zone{Lines: l}
	z.entry = func(key word, _ bool) (items []*listfile.Item, end int, ok bool) {
		w := next(l.Text, key.at, blanks)
		name := w
		itself, below := true, false
		if strings.HasPrefix(w.text, "*.") {
			name, itself, below = w.cut(2), false, true
		} else if strings.HasPrefix(w.text, ".") {
			name, below = w.cut(1), true
		}
		const forms = "write NAME, *.NAME for all below, or .NAME for both"
		if strings.Trim(name.text, "0123456789.") == "" || name.text[0] == '.' {
			fail(l, w, "this is no host name", forms+"; for addresses set format = \"rbldnsd-ip4set\"")
			return nil, 0, false
		}
		normal, ok := listfile.ParseHostName(name.text, func(at, width int, msg, hint string) {
			l.Fail(name.at+at, width, msg, cmp.Or(hint, forms))
		})
		if !ok {
			return nil, 0, false
		}
		if itself {
			items = append(items, &listfile.Item{Kind: listfile.Name, Name: normal, Col: w.at + 1, Width: len(w.text)})
		}
		if below {
			items = append(items, &listfile.Item{Kind: listfile.Name, Name: "." + normal, Col: w.at + 1, Width: len(w.text)})
		}
		return items, w.end(), true
	}
	z.read()
}
