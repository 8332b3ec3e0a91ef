package feed

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"ehlogate/lists/listfile"
)

// dropLine is a line of drop_v4.json or drop_v6.json: a network, or the metadata after all networks. Other fields are
// ignored.
type dropLine struct {
	CIDR  string `json:"cidr"`
	SBLID string `json:"sblid"`

	Type    string `json:"type"`
	Records *int   `json:"records"`
}

// readDrop reads Spamhaus DROP as JSON. A file may be several ones concatenated, each with its metadata, which must agree
// with what is before it: that shows that it is whole.
func readDrop(l *listfile.Lines, _ Filtered) {
	l.Whole = true
	records, open, failed := 0, false, false
	const again = "fetch the file again"
	for l.Next() {
		if len(bytes.TrimSpace(l.Text)) == 0 {
			continue
		}
		line, err := parseDropLine(l.Text)
		if err != nil {
			failed = true
			failJSON(l, err)
			continue
		}
		all := word{string(l.Text), 0}
		switch {
		case line.Type == "metadata":
			if n := line.Records; n != nil && *n != records && !failed {
				failAt(l, all, fmt.Sprintf("%d records before this line, which says %d (truncated write?)", records, *n), again)
			}
			records, open = 0, false
		case line.Type != "":
			failAt(l, all, fmt.Sprintf("unknown type %q", line.Type), "known are networks and \"metadata\"")
		case strings.ContainsFunc(line.CIDR+line.SBLID, func(r rune) bool { return r < ' ' || r > '~' }):
			// An escape in JSON is text, and its character would be shown to an operator.
			failAt(l, all, "invalid character in \"cidr\" or \"sblid\"", "is this a DROP list?")
		case line.CIDR == "":
			failAt(l, all, "missing \"cidr\"", "each line but the last has a network; the list of autonomous systems has none")
		default:
			records, open = records+1, true
			yieldNetwork(l, word{line.CIDR, max(0, bytes.Index(l.Text, []byte(line.CIDR)))}, line.SBLID)
		}
	}
	if open && !failed {
		l.Fail(len(l.Text), 1, "missing \"metadata\" in the last line (truncated write?)", again)
	}
}

// parseDropLine parses a line. It refuses equal keys: encoding/json ignores their case and takes the last one, so that
// {"cidr":"192.0.2.0/24","CIDR":"0.0.0.0/0"} would be all of the Internet.
func parseDropLine(text []byte) (line dropLine, err error) {
	if err := json.Unmarshal(text, &line); err != nil {
		return line, err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	_, err = d.Token() // {
	var keys []string
	for err == nil && d.More() {
		begin := d.InputOffset()
		t, _ := d.Token()
		key := fmt.Sprint(t)
		if slices.ContainsFunc(keys, func(k string) bool { return strings.EqualFold(k, key) }) {
			at := int(begin) + bytes.IndexByte(text[begin:], '"')
			return line, &listfile.SyntaxError{Offset: at, Msg: fmt.Sprintf("duplicate key %q", key)}
		}
		keys = append(keys, key)
		err = d.Decode(new(json.RawMessage))
	}
	return line, err
}

func yieldNetwork(l *listfile.Lines, w word, note string) {
	from, to, err := parseNetwork(w.text)
	if err != nil {
		failSyntax(l, w, err)
		return
	}
	it := newSpan(w, from, to)
	it.Note = note
	l.Yield(it)
}

func failJSON(l *listfile.Lines, err error) {
	at, what := 0, err.Error()
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	var key *listfile.SyntaxError
	switch {
	case errors.As(err, &key):
		at = key.Offset
	case errors.As(err, &syntax):
		at = max(0, int(syntax.Offset)-1)
	case errors.As(err, &kind):
		at, what = max(0, int(kind.Offset)-1), fmt.Sprintf("%q is a %s", kind.Field, kind.Value)
	}
	l.Fail(at, 1, "invalid JSON of a DROP list: "+what, "each line is an object, as in {\"cidr\":\"192.0.2.0/24\",\"sblid\":\"SBL1\"}; for the text form set format = \"drop-txt\"")
}

// readDropText reads Spamhaus DROP as text, its older format.
func readDropText(l *listfile.Lines, _ Filtered) {
	for l.Next() {
		w := nextWord(l.Text, 0, blanks+";")
		rest := restOfLine(l.Text, w.endOffset())
		switch {
		case w.text == "": // or a comment after ;
		case rest.text != "" && rest.text[0] != ';':
			failAt(l, rest, "unexpected text after the network", "write PREFIX ; SBL number")
		default:
			yieldNetwork(l, w, strings.Trim(rest.text, blanks+";"))
		}
	}
}
