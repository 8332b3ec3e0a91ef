package feed

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"ehlogate/lists/listfile"
)

// readNFT reads what "nft list set" writes (nft(8)): tables, sets in them, and
// the elements of these. All elements of all sets are on the list.
//
// How much longer an element was to stay (timeout, expires) is not looked at,
// as with readIPSet.
func readNFT(l *listfile.Lines) {
	l.Whole = true // the last brace shows that
	r := nft{Lines: l}
	for l.Next() {
		for at := 0; ; {
			w, ok := r.token(at)
			if !ok {
				break
			}
			r.take(w)
			at = w.end()
		}
		r.endOfLine()
	}
	if n := len(r.open); n > 0 {
		r.Fail(len(r.Text), 1, fmt.Sprintf("the file ends within %s", r.open[n-1]), "the file is not whole: write it again")
	} else if r.tables && !r.sets {
		r.Fail(0, len(r.Text), "the file ends without a set", "write it with: nft list set FAMILY TABLE NAME")
	}
}

// nft is where the reader is.
type nft struct {
	*listfile.Lines
	open  []string // "table", "set", "elements"
	words []word   // since the last statement or element

	tables, sets     bool // there was one
	typed, addresses bool // of the present set: it has a type, and is one of addresses

	line int // of the first word, and its text if it is not the present line
	text []byte
}

// maxWords is how many words an element or a statement may have.
const maxWords = 64

// maxOpen is how many braces may be open: twice as many as have a meaning.
const maxOpen = 8

// token gives the next word, text in quotes, or one of {};,= of the line. The
// comments that nft writes tell numbers of its own.
func (r *nft) token(at int) (w word, ok bool) {
	const ends = blanks + "{};,=\"#"
	w = next(r.Text, at, ends)
	if w.text != "" || w.at == len(r.Text) {
		return w, w.text != ""
	}
	switch c := r.Text[w.at]; c {
	case '#':
		return w, false
	case '"':
		if n := bytes.IndexByte(r.Text[w.at+1:], '"'); n >= 0 {
			w.text = string(r.Text[w.at : w.at+n+2])
			return w, true
		}
		w = tail(r.Text, w.at)
		fail(r.Lines, w, "a text without its second quotation mark", "is the line whole?")
		return w, false
	default:
		w.text = string(c)
		return w, true
	}
}

// inError is open where nothing is known.
const inError = "what is in error above"

// in is what is open.
func (r *nft) in() string {
	if n := len(r.open); n > 0 {
		return r.open[n-1]
	}
	return "the file"
}

func (r *nft) take(w word) {
	switch {
	case w.text == "{":
		r.begin(w)
	case w.text == "}" && len(r.open) == 0:
		fail(r.Lines, w, "a } without its {", "")
	case w.text == "}":
		r.statement()
		r.open = r.open[:len(r.open)-1]
	case w.text == ";", w.text == "," && r.in() == "elements":
		r.statement()
	case len(r.words) == maxWords:
		fail(r.Lines, w, "too many words", "is it what \"nft list set\" writes?")
		r.words = append(r.words, w) // and that is said once
	case len(r.words) < maxWords:
		if len(r.words) == 0 {
			r.line, r.text = r.Line, nil
		}
		r.words = append(r.words, w)
	}
}

// endOfLine: a statement ends with its line, an element does not.
func (r *nft) endOfLine() {
	if r.in() != "elements" {
		r.statement()
	} else if len(r.words) > 0 && r.text == nil {
		r.text = bytes.Clone(r.Text)
	}
}

// begin opens what the words before a brace say.
func (r *nft) begin(brace word) {
	first := brace
	if len(r.words) > 0 {
		first = r.words[0]
	}
	what := first.text
	switch in := r.in(); {
	case in == "the file" && what == "table":
		r.tables = true
	case in == "table" && what == "set":
		r.sets, r.typed, r.addresses = true, false, false
	case in == "set" && what == "elements" && len(r.words) == 2 && r.words[1].text == "=":
		if !r.typed {
			fail(r.Lines, first, "elements of which it was not said what they are", "a set has a type before its elements")
		}
	default:
		if in != inError {
			fail(r.Lines, first, fmt.Sprintf("%q opens nothing that has a place in %s", what, in), "write the sets that are meant alone: nft list set FAMILY TABLE NAME")
		}
		what = inError
	}
	r.words = r.words[:0]
	if len(r.open) == maxOpen {
		fail(r.Lines, brace, "braces within braces within braces", "is it what \"nft list set\" writes?")
		return
	}
	r.open = append(r.open, what)
}

// statement ends a statement or an element.
func (r *nft) statement() {
	defer func() { r.words = r.words[:0] }()
	if len(r.words) == 0 || len(r.words) > maxWords {
		return
	}
	switch r.in() {
	case "elements":
		r.element()
	case "set":
		if first := r.words[0]; first.text == "type" || first.text == "typeof" {
			r.kind()
		} else if !slices.Contains(setStatements, first.text) {
			fail(r.Lines, first, fmt.Sprintf("%q is not known of sets", first.text), "is it what \"nft list set\" writes?")
		}
	case "table", "the file":
		fail(r.Lines, r.words[0], fmt.Sprintf("%q has no place in %s", r.words[0].text, r.in()), "write the sets that are meant alone: nft list set FAMILY TABLE NAME")
	}
}

// setStatements are what a set says of itself without any bearing on its
// elements, and what elements may say, before something else follows.
var (
	setStatements     = []string{"size", "flags", "timeout", "gc-interval", "policy", "auto-merge", "comment", "counter", "quota", "limit", "last", "ct"}
	elementStatements = []string{"timeout", "expires", "comment", "counter", "quota", "limit", "last", "ct"}
)

// kind reads what the elements of a set are.
func (r *nft) kind() {
	var what []string
	for _, w := range r.words {
		what = append(what, w.text)
	}
	s := strings.Join(what, " ")
	r.typed = true
	if r.addresses = slices.Contains([]string{"type ipv4_addr", "type ipv6_addr", "typeof ip saddr", "typeof ip daddr", "typeof ip6 saddr", "typeof ip6 daddr"}, s); !r.addresses {
		fail(r.Lines, r.words[0], fmt.Sprintf("a set of %q, which are not, or not only, addresses", s), "write the sets that are meant alone: nft list set FAMILY TABLE NAME")
	}
}

// element reads an address, a prefix or a range, and what is said of it.
func (r *nft) element() {
	if !r.addresses {
		return // as was said
	}
	key := r.words[0]
	if len(r.words) > 1 && !slices.Contains(elementStatements, r.words[1].text) {
		r.fail(r.words[1], fmt.Sprintf("%q behind an element", r.words[1].text), "elements are single addresses, prefixes and ranges, with a comma between them")
		return
	}
	from, to, ok := spanOrRange(key.text, func(msg, hint string) { r.fail(key, msg, hint) })
	if !ok {
		return
	}
	it := item(key, from, to)
	if i := slices.IndexFunc(r.words, func(w word) bool { return w.text == "comment" }); i > 0 && i+1 < len(r.words) {
		it.Note = strings.Trim(r.words[i+1].text, `"`)
	}
	if r.text != nil {
		it.StandsIn(r.line, r.text)
	}
	r.Yield(it)
}

// fail is about a word of an element. One that goes over several lines is where
// it begins.
func (r *nft) fail(w word, msg, hint string) {
	if r.text == nil {
		fail(r.Lines, w, msg, hint)
		return
	}
	w = r.words[0]
	r.Problems.Add(listfile.Problem{File: r.Name, Line: r.line, Col: w.at + 1, Width: len(w.text), Text: string(r.text), Msg: msg, Hint: hint})
}
