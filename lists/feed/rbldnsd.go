package feed

import (
	"fmt"
	"strconv"
	"strings"

	"ehlogate/lists/answer"
	"ehlogate/lists/listfile"
)

// zone reads a data file of rbldnsd(8): entries with values, defaults for the values of those that have none, and special
// lines about the zone.
//
// An entry is on the list if its value matches the filter; an exclusion is an exception. The text of an entry is its
// note. Name servers and times of the zone are ignored. rbldnsd skips an entry that is invalid.
type zone struct {
	*listfile.Lines
	filter   answer.Filter
	value    [4]byte // of entries that have none
	maxRange uint64  // of IPv4 addresses ($MAXRANGE4); 0: any
	// isEntry reports whether a line that begins with a colon is an entry; nil: none is.
	isEntry func(line string) bool
	// entry parses the key and returns its end. ok is false if it is invalid, which was reported.
	entry func(key word, exception bool) (items []*listfile.Item, end int, ok bool)
	// take yields an item of an entry whose value is valid, if there is no filter.
	take  func(*listfile.Item)
	ranks ranks // of all entries, if there is a filter
	// restart forgets the entries so far, before they are parsed again; nil: entry remembers none.
	restart func()
	whole   *listfile.Item // the entry that items are parts of; nil: they are no parts
}

func newZone(l *listfile.Lines, f Filtered) zone {
	return zone{Lines: l, filter: f.Answer, value: [4]byte{127, 0, 0, 2}, take: l.Yield}
}

func (z *zone) readEntries() {
	for z.Next() {
		w := restOfLine(z.Text, 0)
		switch {
		case w.text == "" || z.parseSpecial(w) || isComment(w.text):
		case w.text[0] == ':' && (z.isEntry == nil || !z.isEntry(w.text)):
			if value, _, ok := z.parseValue(w); ok {
				z.value = value
			}
		default:
			z.parseLine(w)
		}
	}
	z.yieldRanked()
}

func isComment(s string) bool { return s[0] == '#' || s[0] == ';' }

func (z *zone) parseLine(w word) {
	key, exception := z.cutKey(w)
	items, end, ok := z.entry(key, exception)
	if !ok {
		return
	}
	value, note := z.value, ""
	if rest, has := z.cutValue(end, exception); has {
		if value, note, ok = z.parseValue(rest); !ok {
			return
		}
	}
	rank := isExcluded
	if !exception {
		rank = isOther
		if _, ok := z.filter.Takes(value[1], value[2], value[3]); ok && value[0] == 127 {
			rank = isChosen
		}
	}
	if rank == isChosen && z.whole != nil && !z.Obeys(z.whole) {
		return
	}
	if rank == isOther {
		z.ranks.other = value
	}
	if z.filter != (answer.Filter{}) {
		z.ranks.add(z.Line, z.Text, items, rank)
		return
	}
	for _, it := range items {
		it.Exception, it.Note = exception, note
		z.take(it)
	}
}

// cutKey returns the present line without the sign of an exclusion.
func (z *zone) cutKey(w word) (key word, exception bool) {
	if w.text[0] == '!' {
		return restOfLine(z.Text, w.at+1), true
	}
	return w, false
}

// cutValue returns the value of the present line, which is behind the key that ends at end; ok is false if it has none.
func (z *zone) cutValue(end int, exception bool) (value word, ok bool) {
	value = restOfLine(z.Text, end)
	return value, value.text != "" && !isComment(value.text) && !exception
}

// parseValue parses the answer of rbldnsd: a text, :A: and a text, or :A alone, where A is an IPv4 address, or the first
// numbers and the last one, or the last one of 127.0.0.x.
func (z *zone) parseValue(w word) (value [4]byte, text string, ok bool) {
	if w.text[0] != ':' {
		return z.value, w.text, true
	}
	a, text, _ := strings.Cut(w.text[1:], ":")
	a = strings.TrimRight(a, blanks)
	parts := strings.Split(a, ".")
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 10, 8)
		if err != nil || len(parts) > 4 {
			skipAt(z.Lines, w.withoutFirst(1), fmt.Sprintf("invalid value %q of an A record", a), "write :2:TEXT, or :127.0.0.2:TEXT")
			return value, "", false
		}
		if i == len(parts)-1 {
			i = 3
		}
		value[i] = byte(n)
	}
	if value == ([4]byte{}) {
		skipAt(z.Lines, w.withoutFirst(1), "A record 0.0.0.0 lists nothing", "write :2:TEXT, or :127.0.0.2:TEXT")
		return value, "", false
	}
	if len(parts) == 1 {
		value[0] = 127
	}
	return value, strings.TrimLeft(text, blanks), true
}

// parseSpecial parses a line such as $TTL 1h, which may also be after the sign of a comment or a colon. It returns false for
// other lines.
func (z *zone) parseSpecial(w word) bool {
	name := w.text
	if strings.ContainsRune("#;:", rune(name[0])) {
		name = name[1:]
	}
	if !strings.HasPrefix(name, "$") {
		return false
	}
	words := splitWords(name)
	args := words[1:]
	switch what := strings.ToLower(words[0][1:]); {
	case len(args) == 0:
		if isComment(w.text) {
			return true // such as #$Id$
		}
		failAt(z.Lines, w, fmt.Sprintf("missing value of %q", words[0]), "add its value, or remove the line")
	case what == "soa", what == "ns", what == "nameserver", what == "ttl", what == "=", len(what) == 1 && what[0]-'0' < 10:
	case what == "maxrange4":
		z.parseMaxRange4(w, args[0])
	case what == "timestamp":
		if len(args) > 1 && args[1] != "0" && args[1] != "-" {
			failAt(z.Lines, w, "$TIMESTAMP with an expiry is not supported", "leave out the second time, and set expire_after for the list")
		}
	case what == "dataset":
		failAt(z.Lines, w, "files of type combined are not supported", "make a file of each data set, and name the format of each")
	case isComment(w.text):
	default:
		skipAt(z.Lines, w, fmt.Sprintf("unknown special line %q", words[0]), "known are $SOA, $NS, $TTL, $TIMESTAMP, $MAXRANGE4, $= and $0 to $9")
	}
	return true
}

// parseMaxRange4 parses the size beyond which rbldnsd ignores entries.
func (z *zone) parseMaxRange4(w word, arg string) {
	digits, isBits := strings.CutPrefix(arg, "/")
	n, err := strconv.ParseUint(digits, 10, 32)
	if err != nil || n == 0 || isBits && n > 32 {
		failAt(z.Lines, w, fmt.Sprintf("invalid range size %q", arg), "write a number of addresses, or /BITS")
		return
	}
	if isBits {
		n = 1 << (32 - n)
	}
	if z.maxRange == 0 || n < z.maxRange { // it cannot be raised again
		z.maxRange = n
	}
}
