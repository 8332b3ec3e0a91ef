package feed

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"ehlogate/lists/listfile"
)

// readIPSet reads what "ipset save" writes (ipset(8)): the sets, and their
// members. All members of all sets are on the list.
//
// In a hash:net the smallest network counts, as in a list, and nomatch makes a
// hole of it. That concerns its own set only, so there must not be others in
// the file then. How much longer a member was to stay (timeout) is not looked
// at: the file says who was in the set when it was written, and expire_after for
// how long that is worth something.
func readIPSet(l *listfile.Lines) {
	r := ipsets{Lines: l, sets: make(map[string]ipset)}
	for l.Next() {
		w := next(l.Text, 0, blanks)
		switch {
		case w.text == "" || w.text[0] == '#':
		case w.text == "create":
			r.create(w.end())
		case w.text == "add":
			r.add(w.end())
		default:
			fail(l, w, fmt.Sprintf("%q is nothing that \"ipset save\" writes", w.text), "its lines begin with create and add")
		}
	}
}

type ipsets struct {
	*listfile.Lines
	sets    map[string]ipset
	nomatch int // the first line with it
}

// ipset is what was said when a set was made.
type ipset struct {
	kind string
	v6   bool
	bits int // of the network that each member stands for; 0: the member itself
}

// What may stand behind a set or a member, and how many words follow it.
var (
	setOptions    = map[string]int{"family": 1, "hashsize": 1, "maxelem": 1, "bucketsize": 1, "initval": 1, "timeout": 1, "range": 1, "netmask": 1, "counters": 0, "comment": 0, "skbinfo": 0, "forceadd": 0}
	memberOptions = map[string]int{"timeout": 1, "packets": 1, "bytes": 1, "skbmark": 1, "skbprio": 1, "skbqueue": 1, "nomatch": 0, "comment": 1}
)

// maxSets is how many sets one file may have.
const maxSets = 4096

// create reads NAME TYPE OPTIONS.
func (r *ipsets) create(at int) {
	name := next(r.Text, at, blanks)
	kind := next(r.Text, name.end(), blanks)
	if !slices.Contains([]string{"hash:ip", "hash:net", "bitmap:ip"}, kind.text) {
		fail(r.Lines, kind, fmt.Sprintf("the members of a set of type %q are not, or not only, addresses", kind.text), "save the sets that are meant alone: ipset save NAME")
		return
	}
	options, ok := r.options(kind.end(), setOptions)
	if !ok {
		return
	}
	s := ipset{kind: kind.text, v6: options["family"].text == "inet6"}
	if mask, ok := options["netmask"]; ok {
		n, err := strconv.Atoi(mask.text)
		if most := map[bool]int{false: 32, true: 128}[s.v6]; err != nil || n < 1 || n > most || s.kind == "hash:net" {
			fail(r.Lines, mask, fmt.Sprintf("netmask %s in a set of type %s", mask.text, s.kind), "")
			return
		}
		s.bits = n
	}
	if _, twice := r.sets[name.text]; twice {
		fail(r.Lines, name, fmt.Sprintf("a second set %q", name.text), "")
	}
	if len(r.sets) == maxSets {
		fail(r.Lines, name, fmt.Sprintf("more than %d sets", maxSets), "save the sets that are meant alone: ipset save NAME")
		return
	}
	r.sets[name.text] = s
	r.alone()
}

// add reads NAME MEMBER OPTIONS.
func (r *ipsets) add(at int) {
	name := next(r.Text, at, blanks)
	member := next(r.Text, name.end(), blanks)
	s, ok := r.sets[name.text]
	if !ok {
		fail(r.Lines, name, fmt.Sprintf("a member of the set %q, which was not created", name.text), "is the beginning of the file missing, or the set in error above?")
		return
	}
	options, ok := r.options(member.end(), memberOptions)
	if !ok {
		return
	}
	from, to, ok := span(r.Lines, member)
	if !ok {
		return
	}
	if from.Is4() == s.v6 || from != to && s.kind != "hash:net" {
		fail(r.Lines, member, fmt.Sprintf("%s is no member of such a set", member.text), "see how the set is created")
		return
	}
	it := item(member, from, to)
	if s.bits > 0 {
		p := netip.PrefixFrom(from, s.bits)
		if p != p.Masked() {
			fail(r.Lines, member, fmt.Sprintf("%s has bits set behind the netmask %d of its set", from, s.bits), "see how the set is created")
			return
		}
		it = network(member, p)[0]
	}
	it.Note = options["comment"].text
	if w, ok := options["nomatch"]; ok {
		if it.Hole = true; s.kind != "hash:net" {
			fail(r.Lines, w, "nomatch in a set that is no hash:net", "")
			return
		}
		if r.nomatch == 0 {
			r.nomatch = r.Line
		}
		r.alone()
	}
	r.Yield(it)
}

// alone: where there is nomatch there is one set only.
func (r *ipsets) alone() {
	if r.nomatch > 0 && len(r.sets) > 1 {
		r.Fail(0, len(r.Text), fmt.Sprintf("several sets, and nomatch in one of them (line %d), which does not concern the others", r.nomatch), "save each into a file of its own, for a list of its own: ipset save NAME")
	}
}

// options reads words and what follows each of them.
func (r *ipsets) options(at int, known map[string]int) (map[string]word, bool) {
	out := make(map[string]word)
	for {
		w := next(r.Text, at, blanks)
		if w.text == "" {
			return out, true
		}
		args, ok := known[w.text]
		if !ok {
			fail(r.Lines, w, fmt.Sprintf("%q is not understood", w.text), "is it what \"ipset save\" writes, in its plain format?")
			return nil, false
		}
		value := w
		if args > 0 {
			if value, ok = r.argument(w.end()); !ok {
				fail(r.Lines, w, fmt.Sprintf("%q without a value", w.text), "is the line whole?")
				return nil, false
			}
		}
		out[w.text], at = value, skip(r.Text, value.end(), `"`)
	}
}

// argument reads a word, or a text in quotes, in which there are no others.
func (r *ipsets) argument(at int) (word, bool) {
	w := next(r.Text, at, blanks)
	if !strings.HasPrefix(w.text, `"`) {
		return w, w.text != ""
	}
	text, _, closed := strings.Cut(string(r.Text[w.at+1:]), `"`)
	return word{text, w.at + 1}, closed
}
