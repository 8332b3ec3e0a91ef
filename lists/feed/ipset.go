package feed

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"ehlogate/lists/listfile"
)

// readIPSet reads the output of "ipset save" (ipset(8)): sets and their members. All members of all sets are on the list.
//
// In a hash:net the smallest network decides, as in a list, and nomatch makes an exception. That holds for its own set
// only, so there must be no other sets in the file then. The timeout of a member is ignored: the file says what was in
// the set when it was written, and expire_after for how long that counts.
func readIPSet(l *listfile.Lines) {
	r := ipsets{Lines: l, sets: make(map[string]ipset)}
	for l.Next() {
		w := nextWord(l.Text, 0, blanks)
		switch {
		case w.text == "" || w.text[0] == '#':
		case w.text == "create":
			r.parseCreate(w.endOffset())
		case w.text == "add":
			r.parseAdd(w.endOffset())
		default:
			failAt(l, w, fmt.Sprintf("unknown command %q", w.text), "the lines of \"ipset save\" begin with create and add")
		}
	}
}

type ipsets struct {
	*listfile.Lines
	sets    map[string]ipset
	nomatch int // the first line with nomatch
}

// ipset is the type of a set.
type ipset struct {
	kind string
	v6   bool
	bits int // netmask: each member is a network of that length; 0: there is none
}

// The options of a set and of a member, and how many words follow each.
var (
	setOptions    = map[string]int{"family": 1, "hashsize": 1, "maxelem": 1, "bucketsize": 1, "initval": 1, "timeout": 1, "range": 1, "netmask": 1, "counters": 0, "comment": 0, "skbinfo": 0, "forceadd": 0}
	memberOptions = map[string]int{"timeout": 1, "packets": 1, "bytes": 1, "skbmark": 1, "skbprio": 1, "skbqueue": 1, "nomatch": 0, "comment": 1}
)

const saveAlone = "save only the sets that you need: ipset save NAME"

// maxSets is how many sets a file may have.
const maxSets = 4096

// parseCreate parses NAME TYPE OPTIONS.
func (r *ipsets) parseCreate(at int) {
	name := nextWord(r.Text, at, blanks)
	kind := nextWord(r.Text, name.endOffset(), blanks)
	if !slices.Contains([]string{"hash:ip", "hash:net", "bitmap:ip"}, kind.text) {
		failAt(r.Lines, kind, fmt.Sprintf("set type %q is not supported: its members are not, or not only, addresses", kind.text), saveAlone)
		return
	}
	options, ok := r.parseOptions(kind.endOffset(), setOptions)
	if !ok {
		return
	}
	s := ipset{kind: kind.text, v6: options["family"].text == "inet6"}
	if mask, ok := options["netmask"]; ok {
		n, err := strconv.Atoi(mask.text)
		if most := map[bool]int{false: 32, true: 128}[s.v6]; err != nil || n < 1 || n > most || s.kind == "hash:net" {
			failAt(r.Lines, mask, fmt.Sprintf("invalid netmask %s in a set of type %s", mask.text, s.kind), "")
			return
		}
		s.bits = n
	}
	if _, repeated := r.sets[name.text]; repeated {
		failAt(r.Lines, name, fmt.Sprintf("duplicate set %q", name.text), "")
	}
	if len(r.sets) == maxSets {
		failAt(r.Lines, name, fmt.Sprintf("more than %d sets", maxSets), saveAlone)
		return
	}
	r.sets[name.text] = s
	r.checkAlone()
}

// parseAdd parses NAME MEMBER OPTIONS.
func (r *ipsets) parseAdd(at int) {
	name := nextWord(r.Text, at, blanks)
	member := nextWord(r.Text, name.endOffset(), blanks)
	s, ok := r.sets[name.text]
	if !ok {
		failAt(r.Lines, name, fmt.Sprintf("unknown set %q", name.text), "is the beginning of the file missing, or the set invalid above?")
		return
	}
	options, ok := r.parseOptions(member.endOffset(), memberOptions)
	if !ok {
		return
	}
	from, to, ok := parseNetwork(r.Lines, member)
	if !ok {
		return
	}
	if from.Is4() == s.v6 || from != to && s.kind != "hash:net" {
		failAt(r.Lines, member, fmt.Sprintf("%s cannot be a member of its set", member.text), "compare it with the type of the set")
		return
	}
	it := newSpan(member, from, to)
	if s.bits > 0 {
		p := netip.PrefixFrom(from, s.bits)
		if p != p.Masked() {
			failAt(r.Lines, member, fmt.Sprintf("%s has host bits set (the netmask of its set is %d)", from, s.bits), "compare it with the type of the set")
			return
		}
		it = newPrefix(member, p)
	}
	it.Note = options["comment"].text
	if w, ok := options["nomatch"]; ok {
		if it.Exception = true; s.kind != "hash:net" {
			failAt(r.Lines, w, "nomatch in a set that is not a hash:net", "")
			return
		}
		if r.nomatch == 0 {
			r.nomatch = r.Line
		}
		r.checkAlone()
	}
	r.Yield(it)
}

// checkAlone reports several sets if there is nomatch in one of them.
func (r *ipsets) checkAlone() {
	if r.nomatch > 0 && len(r.sets) > 1 {
		r.Fail(0, len(r.Text), fmt.Sprintf("several sets, and nomatch (line %d), which is about one of them only", r.nomatch), "save each into a file of its own, for a list of its own: ipset save NAME")
	}
}

// parseOptions parses options and their values.
func (r *ipsets) parseOptions(at int, known map[string]int) (map[string]word, bool) {
	out := make(map[string]word)
	for {
		w := nextWord(r.Text, at, blanks)
		if w.text == "" {
			return out, true
		}
		args, ok := known[w.text]
		if !ok {
			failAt(r.Lines, w, fmt.Sprintf("unknown option %q", w.text), "is it the output of \"ipset save\" in its plain format?")
			return nil, false
		}
		value := w
		if args > 0 {
			if value, ok = r.parseArgument(w.endOffset()); !ok {
				failAt(r.Lines, w, fmt.Sprintf("missing value of %q", w.text), "is the line complete?")
				return nil, false
			}
		}
		out[w.text], at = value, skipBytes(r.Text, value.endOffset(), `"`)
	}
}

// parseArgument parses a word, or a text in quotes that has no quotes inside.
func (r *ipsets) parseArgument(at int) (word, bool) {
	w := nextWord(r.Text, at, blanks)
	if !strings.HasPrefix(w.text, `"`) {
		return w, w.text != ""
	}
	text, _, closed := strings.Cut(string(r.Text[w.at+1:]), `"`)
	return word{text, w.at + 1}, closed
}
