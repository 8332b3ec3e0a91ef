package feed

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"ehlogate/lists/listfile"
)

// readNFT reads the output of "nft list set", and scripts that fill sets (nft(8)): tables, their sets and the elements of
// these, and commands that add them. All elements of all sets are on the list. A command that takes away elements
// which the file itself added is an error. As with readIPSet, timeouts are ignored.
func readNFT(l *listfile.Lines, _ Filtered) {
	l.Whole = true // a missing brace shows
	r := nft{Lines: l, sets: make(map[string]*nftSet)}
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
	} else if r.tables && len(r.sets) == 0 {
		r.Fail(0, len(r.Text), "no set in the file", listAlone)
	}
}

type nft struct {
	*listfile.Lines
	open  []string // blocks: "table", "set", "elements"
	words []word   // since the last statement or element

	tables bool               // there was one
	sets   map[string]*nftSet // by name
	set    *nftSet            // the present one
	name   string             // of the present table

	line int // of the first word; and text is that line, if it is not the present one
	text []byte
}

type nftSet struct {
	isTyped    bool // its type is known
	is4, is6   bool // elements are such addresses; neither: they are not addresses
	isFilled   bool
	isReported bool // an element of the other family was reported
}

const (
	listAlone   = "write only the sets that you need: nft list set FAMILY TABLE NAME"
	outputOfNFT = "is it the output of \"nft list set\", or a script that adds elements?"
)

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

// command returns the words of the present statement, without the "add" that may precede them in a script.
func (r *nft) command() []word {
	if w := r.words; len(w) > 0 && r.block() == "the file" && (w[0].text == "add" || w[0].text == "create") {
		return w[1:]
	}
	return r.words
}

// beginBlock opens the block that the words before a brace name.
func (r *nft) beginBlock(brace word) {
	first, words := brace, r.command()
	if len(words) > 0 {
		first = words[0]
	}
	what := first.text
	switch in := r.block(); {
	case in == "the file" && what == "table":
		r.tables, r.name = true, nameOf(words[1:], 1)
	case in == "the file" && (what == "set" || what == "element"):
		r.set = r.setOf(nameOf(words[1:], 2))
		if what == "element" {
			what = "elements"
		}
	case in == "table" && what == "set":
		r.set = r.setOf(r.name + " " + nameOf(words[1:], 0))
	case in == "set" && what == "elements" && len(r.words) == 2 && r.words[1].text == "=":
		if !r.set.isTyped {
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

// nameOf returns the names of a table or a set, with the family before them: ip, unless it is there.
func nameOf(words []word, withoutFamily int) string {
	var names []string
	for _, w := range words {
		names = append(names, w.text)
	}
	if withoutFamily > 0 && len(words) == withoutFamily {
		names = append([]string{"ip"}, names...)
	}
	return strings.Join(names, " ")
}

func (r *nft) setOf(name string) *nftSet {
	if r.sets[name] == nil {
		r.sets[name] = new(nftSet)
	}
	return r.sets[name]
}

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
	case "the file":
		r.parseCommand()
	case "table":
		failAt(r.Lines, r.words[0], fmt.Sprintf("unexpected %q in %s", r.words[0].text, r.block()), listAlone)
	}
}

// parseCommand parses a command without a block.
func (r *nft) parseCommand() {
	words := r.command()
	switch first := r.words[0].text; {
	case len(words) > 0 && words[0].text == "table" && len(words) <= 3:
	case first == "flush" || first == "delete" || first == "destroy":
		for name, s := range r.sets {
			if s.isFilled && (len(words) < 2 || words[1].text != "set" || nameOf(words[2:], 2) == name) {
				failAt(r.Lines, r.words[0], "elements are taken away, which the file added before", "load the file into nftables, and write what is there: nft list set FAMILY TABLE NAME")
				return
			}
		}
	default:
		failAt(r.Lines, r.words[0], fmt.Sprintf("unexpected %q in %s", first, r.block()), listAlone)
	}
}
