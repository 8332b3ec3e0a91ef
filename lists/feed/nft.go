package feed

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"ehlogate/lists/diag"
	"ehlogate/lists/listfile"
)

// readNFT reads the output of "nft list set" (nft(8)): tables, their sets and the elements of these. All elements of all
// sets are on the list. As with readIPSet, timeouts are ignored.
func readNFT(l *listfile.Lines) {
	l.Whole = true // a missing brace shows
	r := nft{Lines: l}
	for l.Next() {
		for at := 0; ; {
			w, ok := r.nextToken(at)
			if !ok {
				break
			}
			r.takeToken(w)
			at = w.endOffset()
		}
		r.endOfLine()
	}
	if n := len(r.open); n > 0 {
		r.Fail(len(r.Text), 1, fmt.Sprintf("file ends in %s (truncated write?)", r.open[n-1]), "write it again")
	} else if r.tables && !r.sets {
		r.Fail(0, len(r.Text), "no set in the file", listAlone)
	}
}

// nft is the state of the reader.
type nft struct {
	*listfile.Lines
	open  []string // blocks: "table", "set", "elements"
	words []word   // since the last statement or element

	tables, sets         bool // there was one
	hasType, isSupported bool // of the present set: it has a type, which is one of addresses

	line int // of the first word; and text is that line, if it is not the present one
	text []byte
}

const (
	listAlone   = "write only the sets that you need: nft list set FAMILY TABLE NAME"
	outputOfNFT = "is it the output of \"nft list set\"?"
)

// maxWords is how many words an element or a statement may have.
const maxWords = 64

// maxOpen is how many blocks may be open: twice as many as have a meaning.
const maxOpen = 8

// nextToken returns the next word, text in quotes, or one of {};,= of the line. It ignores comments, in which nft writes
// handles.
func (r *nft) nextToken(at int) (w word, ok bool) {
	const ends = blanks + "{};,=\"#"
	w = nextWord(r.Text, at, ends)
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
		w = restOfLine(r.Text, w.at)
		failAt(r.Lines, w, "missing closing quote", "is the line complete?")
		return w, false
	default:
		w.text = string(c)
		return w, true
	}
}

// invalidBlock is open in place of a block that was reported.
const invalidBlock = "a block that is invalid above"

// block returns the innermost open block.
func (r *nft) block() string {
	if n := len(r.open); n > 0 {
		return r.open[n-1]
	}
	return "the file"
}

func (r *nft) takeToken(w word) {
	switch {
	case w.text == "{":
		r.beginBlock(w)
	case w.text == "}" && len(r.open) == 0:
		failAt(r.Lines, w, "} without {", "")
	case w.text == "}":
		r.endStatement()
		r.open = r.open[:len(r.open)-1]
	case w.text == ";", w.text == "," && r.block() == "elements":
		r.endStatement()
	case len(r.words) == maxWords:
		failAt(r.Lines, w, "too many words", outputOfNFT)
		r.words = append(r.words, w) // and that is reported once
	case len(r.words) < maxWords:
		if len(r.words) == 0 {
			r.line, r.text = r.Line, nil
		}
		r.words = append(r.words, w)
	}
}

// endOfLine ends a statement; an element may continue.
func (r *nft) endOfLine() {
	if r.block() != "elements" {
		r.endStatement()
	} else if len(r.words) > 0 && r.text == nil {
		r.text = bytes.Clone(r.Text)
	}
}

// beginBlock opens the block that the words before a brace name.
func (r *nft) beginBlock(brace word) {
	first := brace
	if len(r.words) > 0 {
		first = r.words[0]
	}
	what := first.text
	switch in := r.block(); {
	case in == "the file" && what == "table":
		r.tables = true
	case in == "table" && what == "set":
		r.sets, r.hasType, r.isSupported = true, false, false
	case in == "set" && what == "elements" && len(r.words) == 2 && r.words[1].text == "=":
		if !r.hasType {
			failAt(r.Lines, first, "elements before the type of the set", "a set has a type before its elements")
		}
	default:
		if in != invalidBlock {
			failAt(r.Lines, first, fmt.Sprintf("unexpected block %q in %s", what, in), listAlone)
		}
		what = invalidBlock
	}
	r.words = r.words[:0]
	if len(r.open) == maxOpen {
		failAt(r.Lines, brace, "too many nested blocks", outputOfNFT)
		return
	}
	r.open = append(r.open, what)
}

// endStatement ends a statement or an element.
func (r *nft) endStatement() {
	defer func() { r.words = r.words[:0] }()
	if len(r.words) == 0 || len(r.words) > maxWords {
		return
	}
	switch r.block() {
	case "elements":
		r.yieldElement()
	case "set":
		if first := r.words[0]; first.text == "type" || first.text == "typeof" {
			r.parseType()
		} else if !slices.Contains(setStatements, first.text) {
			failAt(r.Lines, first, fmt.Sprintf("unknown statement %q in a set", first.text), outputOfNFT)
		}
	case "table", "the file":
		failAt(r.Lines, r.words[0], fmt.Sprintf("unexpected %q in %s", r.words[0].text, r.block()), listAlone)
	}
}

// Statements of a set and of an element that have no effect on which addresses match.
var (
	setStatements     = []string{"size", "flags", "timeout", "gc-interval", "policy", "auto-merge", "comment", "counter", "quota", "limit", "last", "ct"}
	elementStatements = []string{"timeout", "expires", "comment", "counter", "quota", "limit", "last", "ct"}
)

// parseType parses the type of the elements of a set.
func (r *nft) parseType() {
	var what []string
	for _, w := range r.words {
		what = append(what, w.text)
	}
	s := strings.Join(what, " ")
	r.hasType = true
	if r.isSupported = slices.Contains([]string{"type ipv4_addr", "type ipv6_addr", "typeof ip saddr", "typeof ip daddr", "typeof ip6 saddr", "typeof ip6 daddr"}, s); !r.isSupported {
		failAt(r.Lines, r.words[0], fmt.Sprintf("%q is not supported: the elements are not, or not only, addresses", s), listAlone)
	}
}

// yieldElement parses an address, a prefix or a range and its statements.
func (r *nft) yieldElement() {
	if !r.isSupported {
		return // reported at the type
	}
	key := r.words[0]
	if len(r.words) > 1 && !slices.Contains(elementStatements, r.words[1].text) {
		r.failElement(r.words[1], fmt.Sprintf("unexpected %q after an element", r.words[1].text), "elements are single addresses, prefixes and ranges, with a comma between them")
		return
	}
	from, to, err := parseSpan(key.text)
	if err != nil {
		msg, hint := syntaxOf(err)
		r.failElement(key, msg, hint)
		return
	}
	it := newSpan(key, from, to)
	if i := slices.IndexFunc(r.words, func(w word) bool { return w.text == "comment" }); i > 0 && i+1 < len(r.words) {
		it.Note = strings.Trim(r.words[i+1].text, `"`)
	}
	if r.text != nil {
		it.SetLine(r.line, r.text)
	}
	r.Yield(it)
}

// failElement reports a problem with a word of an element, or with the first word of an element in several lines.
func (r *nft) failElement(w word, msg, hint string) {
	if r.text == nil {
		failAt(r.Lines, w, msg, hint)
		return
	}
	w = r.words[0]
	r.Problems.Add(diag.Problem{File: r.Name, Line: r.line, Col: w.at + 1, Width: len(w.text), Text: string(r.text), Msg: msg, Hint: hint})
}
