package feed

import (
	"bytes"
	"net/netip"
	"strings"

	"ehlogate/lists/listfile"
)

// readAddresses reads what most feeds are: an address, a prefix or a range in each line, and columns after it that say
// when and why. # and ; begin comments; # after an entry begins its note.
//
// The end of a range must not be taken for a further column, so what looks like one is an error.
func readAddresses(l *listfile.Lines) {
	const ends = blanks + ",;#"
	nextColumn := func(before word) word {
		return nextWord(l.Text, skipBytes(l.Text, before.endOffset(), blanks+",;"), ends)
	}
	for l.Next() {
		first := nextWord(l.Text, 0, ends)
		if first.text == "" {
			if first.at < len(l.Text) && l.Text[first.at] == ',' {
				l.Fail(first.at, 1, "missing address in the first column", "write the address there, at the beginning of the line")
			}
			continue
		}
		from, to, err := listfile.ParseSpan(first.text)
		if err != nil {
			l.FailSyntax(first.at, err, "each line begins with an address, a prefix or a range")
			continue
		}
		second := nextColumn(first)
		end := strings.TrimPrefix(second.text, "-")
		if second.text == "-" { // which is also how some feeds write an empty column
			end = nextColumn(second).text
		}
		if _, err := netip.ParseAddr(end); err == nil {
			failAt(l, second, "address in the second column, which is ignored (end of a range?)", "write a range without spaces: FIRST-LAST")
			continue
		}
		it := newSpan(first, from, to)
		if _, note, ok := bytes.Cut(l.Text, []byte("#")); ok {
			it.Note = string(bytes.TrimSpace(note))
		}
		l.Yield(it)
	}
}
