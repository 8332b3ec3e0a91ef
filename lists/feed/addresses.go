package feed

import (
	"bytes"
	"net/netip"
	"strings"

	"ehlogate/lists/listfile"
)

// readAddresses reads what most feeds are: an address, a prefix or a range on
// each line, and columns behind it that say when and why. # and ; begin
// comments; # behind an entry begins its note.
//
// The end of a range must not be taken for a further column, so what looks
// like one is refused.
func readAddresses(l *listfile.Lines) {
	const ends = blanks + ",;#"
	column := func(before word) word { return next(l.Text, skip(l.Text, before.end(), blanks+",;"), ends) }
	for l.Next() {
		first := next(l.Text, 0, ends)
		if first.text == "" {
			if first.at < len(l.Text) && l.Text[first.at] == ',' {
				l.Fail(first.at, 1, "the first column is empty", "the address must be in the first column")
			}
			continue
		}
		from, to, ok := listfile.ParseSpan(first.text, func(msg, hint string) {
			if hint == "" {
				hint = "each line begins with an address, a prefix or a range"
			}
			fail(l, first, msg, hint)
		})
		if !ok {
			continue
		}
		second := column(first)
		end := strings.TrimPrefix(second.text, "-")
		if second.text == "-" { // alone it is an empty column, too
			end = column(second).text
		}
		if _, err := netip.ParseAddr(end); err == nil {
			fail(l, second, "this looks like the end of a range, and further columns are ignored", "write a range without blanks: FIRST-LAST")
			continue
		}
		it := item(first, from, to)
		if _, note, ok := bytes.Cut(l.Text, []byte("#")); ok {
			it.Note = string(bytes.TrimSpace(note))
		}
		l.Yield(it)
	}
}
