package feed

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"ehlogate/lists/listfile"
	"ehlogate/lists/strictjson"
)

// dropLine is a line of drop_v4.json or drop_v6.json: a network, or the
// metadata behind all of them. What else stands in it is of no concern.
type dropLine struct {
	CIDR  string `json:"cidr"`
	SBLID string `json:"sblid"`

	Type    string `json:"type"`
	Records *int   `json:"records"`
}

// readDrop reads Spamhaus DROP as JSON. Files may stand behind each other in
// one, each with its metadata, which must agree with what is before them: that
// is how a file shows that it is whole.
func readDrop(l *listfile.Lines) {
	l.Whole = true
	records, open, failed := 0, false, false
	for l.Next() {
		if len(bytes.TrimSpace(l.Text)) == 0 {
			continue
		}
		var line dropLine
		if err := strictjson.Unmarshal(l.Text, &line); err != nil {
			failed = true
			failJSON(l, err)
			continue
		}
		all := word{string(l.Text), 0}
		switch {
		case line.Type == "metadata":
			if n := line.Records; n != nil && *n != records && !failed {
				fail(l, all, fmt.Sprintf("there are %d records before this line, which says %d", records, *n), "the file is not whole: fetch it again")
			}
			records, open = 0, false
		case line.Type != "":
			fail(l, all, fmt.Sprintf("a line of type %q", line.Type), "known are networks and \"metadata\"")
		case strings.ContainsFunc(line.CIDR+line.SBLID, func(r rune) bool { return r < ' ' || r > '~' }):
			// As an escape in JSON it passes for text, and would be shown to somebody.
			fail(l, all, "characters that have no place in a network or its number", "is this a DROP list?")
		case line.CIDR == "":
			fail(l, all, "a line without a network", "each line but the last has \"cidr\"; the list of autonomous systems is none of addresses")
		default:
			records, open = records+1, true
			dropNetwork(l, line)
		}
	}
	if open && !failed {
		l.Fail(len(l.Text), 1, "the line of type \"metadata\" is missing, which is the last one", "the file is not whole: fetch it again")
	}
}

func dropNetwork(l *listfile.Lines, line dropLine) {
	w := word{line.CIDR, max(0, bytes.Index(l.Text, []byte(line.CIDR)))}
	if from, to, ok := span(l, w); ok {
		it := item(w, from, to)
		it.Note = line.SBLID
		l.Yield(it)
	}
}

// failJSON says what is wrong with the JSON of a line.
func failJSON(l *listfile.Lines, err error) {
	at, what := 0, err.Error()
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	var key *strictjson.KeyError
	switch {
	case errors.As(err, &key):
		at = max(0, bytes.LastIndex(l.Text[:key.Offset-1], []byte{'"'}))
	case errors.As(err, &syntax):
		at = max(0, int(syntax.Offset)-1)
	case errors.As(err, &kind):
		at, what = max(0, int(kind.Offset)-1), fmt.Sprintf("a %s as %q", kind.Value, kind.Field)
	}
	l.Fail(at, 1, "this is not the JSON of a DROP list: "+what, "each line is an object, as in {\"cidr\":\"192.0.2.0/24\",\"sblid\":\"SBL1\"}; for the text form set format = \"drop-txt\"")
}

// readDropText reads Spamhaus DROP as text, as it was before JSON.
func readDropText(l *listfile.Lines) {
	for l.Next() {
		w := next(l.Text, 0, blanks+";")
		rest := tail(l.Text, w.end())
		if w.text == "" {
			continue // or a comment behind ;
		}
		if rest.text != "" && rest.text[0] != ';' {
			fail(l, rest, "more than a network", "a line is PREFIX ; SBL number")
			continue
		}
		if from, to, ok := span(l, w); ok {
			it := item(w, from, to)
			it.Note = strings.Trim(rest.text, blanks+";")
			l.Yield(it)
		}
	}
}
