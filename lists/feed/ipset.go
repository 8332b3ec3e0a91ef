package feed

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go4.org/netipx"

	"ehlogate/lists/listfile"
)

// readIPSet reads the output of "ipset save", and other files for "ipset restore" (ipset(8)): commands that create sets
// and add members. All members of all sets, as they are in the end, are on the list. A command that takes away members
// which the file itself added is an error; ipset refuses a file for one invalid line, and so does this.
//
// In a hash:net the smallest network decides, as in a list, and nomatch makes an exception. That holds for its own set
// only, so no other set may have members then. The timeout of a member is ignored: the file says what was in the set
// when it was written, and expire_after for how long that counts.
func readIPSet(l *listfile.Lines, _ Filtered) {
	r := ipsets{Lines: l, sets: make(map[string]*ipset), excepted: make(map[netipx.IPRange]int)}
	for l.Next() {
		w := r.nextWord(0)
		command, known := commands[w.text]
		switch {
		case w.text == "" || w.text[0] == '#':
		case !known:
			failAt(l, w, fmt.Sprintf("unknown command %q", w.text), saveAll)
		default:
			command(&r, w.endOffset())
		}
	}
}

type ipsets struct {
	*listfile.Lines
	sets     map[string]*ipset
	filled   []*ipset               // sets that have members
	nomatch  int                    // the first line with nomatch
	excepted map[netipx.IPRange]int // the lines of members with nomatch
}

// ipset is the type of a set.
type ipset struct {
	kind     string
	v6       bool
	bits     int // netmask: each member is a network of that length; 0: there is none
	isFilled bool
}

// commands has what reads the arguments of each command from an offset on.
var commands = commandsByName(map[string]func(*ipsets, int){
	"create n new -N --create": (*ipsets).parseCreate,
	"add a -A --add":           (*ipsets).parseAdd,
	"swap w -W --swap":         (*ipsets).parseSwap,
	"rename e -E --rename":     (*ipsets).parseRename,
	"destroy x -X --destroy":   (*ipsets).parseDestroy,
	"flush f -F --flush":       (*ipsets).parseFlush,
	"del d -D --del":           (*ipsets).parseFlush,
	"COMMIT":                   func(*ipsets, int) {},
})

func commandsByName(table map[string]func(*ipsets, int)) map[string]func(*ipsets, int) {
	out := make(map[string]func(*ipsets, int))
	for names, command := range table {
		for name := range strings.FieldsSeq(names) {
			out[name] = command
		}
	}
	return out
}

// The options of a set and of a member, and how many words follow each.
var (
	setOptions    = map[string]int{"family": 1, "hashsize": 1, "maxelem": 1, "bucketsize": 1, "initval": 1, "timeout": 1, "range": 1, "netmask": 1, "counters": 0, "comment": 0, "skbinfo": 0, "forceadd": 0}
	memberOptions = map[string]int{"timeout": 1, "packets": 1, "bytes": 1, "skbmark": 1, "skbprio": 1, "skbqueue": 1, "nomatch": 0, "comment": 1}
)

const (
	saveAlone = "save only the sets that you need: ipset save NAME"
	saveAll   = "load the file into ipset, and write what is there: ipset save NAME"
)

const maxSets = 4096

// nextWord returns the next word but for -exist, which may be anywhere: members that are there already are no error here.
func (r *ipsets) nextWord(at int) word {
	for {
		w := nextWord(r.Text, at, blanks)
		if w.text != "-exist" && w.text != "-!" {
			return w
		}
		at = w.endOffset()
	}
}

// typeAliases are names of types that ipset has kept since its version 4.
var typeAliases = map[string]string{"iphash": "hash:ip", "nethash": "hash:net", "ipmap": "bitmap:ip"}

// parseCreate parses NAME TYPE OPTIONS.
func (r *ipsets) parseCreate(at int) {
	name := r.nextWord(at)
	kind := r.nextWord(name.endOffset())
	s := &ipset{kind: kind.text}
	if alias, ok := typeAliases[kind.text]; ok {
		s.kind = alias
	}
	if !slices.Contains([]string{"hash:ip", "hash:net", "bitmap:ip"}, s.kind) {
		failAt(r.Lines, kind, fmt.Sprintf("set type %q is not supported: its members are not, or not only, addresses", kind.text), saveAlone)
		return
	}
	options, ok := r.parseOptions(kind.endOffset(), setOptions)
	if !ok {
		return
	}
	s.v6 = options["family"].text == "inet6"
	if mask, ok := options["netmask"]; ok {
		n, err := strconv.Atoi(mask.text)
		if most := map[bool]int{false: 32, true: 128}[s.v6]; err != nil || n < 1 || n > most || s.kind == "hash:net" {
			failAt(r.Lines, mask, fmt.Sprintf("invalid netmask %s in a set of type %s", mask.text, s.kind), "")
			return
		}
		s.bits = n
	}
	if have := r.sets[name.text]; have != nil && (have.kind != s.kind || have.v6 != s.v6 || have.bits != s.bits) {
		failAt(r.Lines, name, fmt.Sprintf("set %q was created before, with another type", name.text), saveAll)
		return
	} else if have != nil {
		return
	}
	if len(r.sets) == maxSets {
		failAt(r.Lines, name, fmt.Sprintf("more than %d sets", maxSets), saveAlone)
		return
	}
	r.sets[name.text] = s
}

// parseSwap parses two names. A set that the file does not create was there before, with members that do not count.
func (r *ipsets) parseSwap(at int) {
	first := r.nextWord(at)
	second := r.nextWord(first.endOffset())
	a, b := r.sets[first.text], r.sets[second.text]
	r.sets[first.text], r.sets[second.text] = b, a
}

func (r *ipsets) parseRename(at int) {
	from := r.nextWord(at)
	to := r.nextWord(from.endOffset())
	r.sets[to.text] = r.sets[from.text]
	delete(r.sets, from.text)
}

func (r *ipsets) parseDestroy(at int) {
	r.parseFlush(at)
	name := r.nextWord(at)
	if delete(r.sets, name.text); name.text == "" {
		clear(r.sets)
	}
}

// parseFlush parses a command that takes away members of a set, or of all sets.
func (r *ipsets) parseFlush(at int) {
	name := r.nextWord(at)
	for n, s := range r.sets {
		if s != nil && s.isFilled && (name.text == "" || n == name.text) {
			r.Fail(0, len(r.Text), fmt.Sprintf("members of set %q are taken away, which the file added before", n), saveAll)
			return
		}
	}
}

// parseAdd parses NAME MEMBER OPTIONS.
func (r *ipsets) parseAdd(at int) {
	name := r.nextWord(at)
	member := r.nextWord(name.endOffset())
	s := r.sets[name.text]
	if s == nil {
		failAt(r.Lines, name, fmt.Sprintf("unknown set %q", name.text), "is the beginning of the file missing, or the set invalid above?")
		return
	}
	options, ok := r.parseOptions(member.endOffset(), memberOptions)
	if !ok {
		return
	}
	items := r.parseMember(s, member)
	if len(items) == 0 {
		return
	}
	w, isException := options["nomatch"]
	if isException && s.kind != "hash:net" {
		failAt(r.Lines, w, "nomatch in a set that is not a hash:net", "")
		return
	}
	if isException && r.nomatch == 0 {
		r.nomatch = r.Line
		r.checkAlone()
	}
	if !s.isFilled {
		s.isFilled = true
		r.filled = append(r.filled, s)
		r.checkAlone()
	}
	if !isException && len(items) > 1 && !r.Obeys(newSpan(member, items[0].From, items[len(items)-1].To)) {
		return
	}
	for _, it := range items {
		key := netipx.IPRangeFrom(it.From, it.To)
		if line := r.excepted[key]; isException {
			r.excepted[key] = r.Line
		} else if line > 0 {
			failAt(r.Lines, member, fmt.Sprintf("%s was added with nomatch before (line %d), and ipset keeps the later one", member.text, line), saveAll)
			return
		}
		it.Exception, it.Note = isException, options["comment"].text
		r.Yield(it)
	}
}
