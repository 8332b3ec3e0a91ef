package feed

import (
	"fmt"
	"strconv"
	"strings"

	"ehlogate/lists/listfile"
)

// zone reads a data file of rbldnsd(8): entries with values, defaults for the
// values of those that have none, and specials about the zone.
//
// An entry is on the list whatever its value; an exclusion is a hole. A text of
// its own is the note of an entry. What a zone says about itself (its name
// servers and times) is passed over.
type zone struct {
	*listfile.Lines
	maxRange uint64 // of IPv4 addresses ($MAXRANGE4); 0: any
	// isEntry: a line that begins with a colon is an entry all the same.
	isEntry func(line string) bool
	// entry reads the key, whose end it gives. ok is false if it is bad, which
	// was said.
	entry func(key word, hole bool) (items []*listfile.Item, end int, ok bool)
}

func (z *zone) read() {
	for z.Next() {
		w := tail(z.Text, 0)
		switch {
		case w.text == "" || z.special(w) || isComment(w.text):
		case w.text[0] == ':' && (z.isEntry == nil || !z.isEntry(w.text)):
			z.value(w)
		default:
			z.line(w)
		}
	}
}

func isComment(s string) bool { return s[0] == '#' || s[0] == ';' }

// line reads an entry and its value.
func (z *zone) line(w word) {
	key, hole := w, w.text[0] == '!'
	if hole {
		key = tail(z.Text, w.at+1)
	}
	items, end, ok := z.entry(key, hole)
	if !ok {
		return
	}
	note := ""
	if value := tail(z.Text, end); value.text != "" && !isComment(value.text) && !hole {
		if note, ok = z.value(value); !ok {
			return
		}
	}
	for _, it := range items {
		it.Hole, it.Note = hole, note
		z.Yield(it)
	}
}

// value reads what rbldnsd would answer: a text, :A: and a text, or :A alone,
// where A is an IPv4 address or the end of one.
func (z *zone) value(w word) (text string, ok bool) {
	if w.text[0] != ':' {
		return w.text, true
	}
	a, text, _ := strings.Cut(w.text[1:], ":")
	a = strings.TrimRight(a, blanks)
	parts := strings.Split(a, ".")
	zero := true
	for _, p := range parts {
		n, err := strconv.ParseUint(p, 10, 8)
		if err != nil || len(parts) > 4 {
			fail(z.Lines, w.cut(1), fmt.Sprintf("%q is no value of an A record", a), "write :2:TEXT, or :127.0.0.2:TEXT")
			return "", false
		}
		zero = zero && n == 0
	}
	if zero {
		fail(z.Lines, w.cut(1), "the A record 0.0.0.0 is no listing", "write :2:TEXT, or :127.0.0.2:TEXT")
		return "", false
	}
	return strings.TrimLeft(text, blanks), true
}

// special reads a line such as $TTL 1h, which may also stand behind the sign of
// a comment or a colon. It is false if the line is none.
func (z *zone) special(w word) bool {
	name := w.text
	if strings.ContainsRune("#;:", rune(name[0])) {
		name = name[1:]
	}
	if !strings.HasPrefix(name, "$") {
		return false
	}
	words := fields(name)
	args := words[1:]
	switch what := strings.ToLower(words[0][1:]); {
	case len(args) == 0:
		if isComment(w.text) {
			return true // such as #$Id$
		}
		fail(z.Lines, w, fmt.Sprintf("%q without a value", words[0]), "delete the line if it says nothing")
	case what == "soa", what == "ns", what == "nameserver", what == "ttl", what == "=", len(what) == 1 && what[0]-'0' < 10:
	case what == "maxrange4":
		z.maxRange4(w, args[0])
	case what == "timestamp":
		if len(args) > 1 && args[1] != "0" && args[1] != "-" {
			fail(z.Lines, w, "data that expires", "leave the second time out, and set expire_after for the list")
		}
	case what == "dataset":
		fail(z.Lines, w, "a file of type combined", "make a file of each part that is meant, and name the format of each")
	case isComment(w.text):
	default:
		fail(z.Lines, w, fmt.Sprintf("%q is not known", words[0]), "known are $SOA, $NS, $TTL, $TIMESTAMP, $MAXRANGE4, $= and $0 to $9")
	}
	return true
}

// maxRange4 reads the size beyond which rbldnsd ignores entries.
func (z *zone) maxRange4(w word, arg string) {
	digits, isBits := strings.CutPrefix(arg, "/")
	n, err := strconv.ParseUint(digits, 10, 32)
	if err != nil || n == 0 || isBits && n > 32 {
		fail(z.Lines, w, fmt.Sprintf("%q is no size of a range", arg), "write a number of addresses, or /BITS")
		return
	}
	if isBits {
		n = 1 << (32 - n)
	}
	if z.maxRange == 0 || n < z.maxRange { // it cannot be raised again
		z.maxRange = n
	}
}
