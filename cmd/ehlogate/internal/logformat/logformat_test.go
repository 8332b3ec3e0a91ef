package logformat

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sirupsen/logrus"

	"ehlogate/lists/diag"
	"ehlogate/lists/filewatch"
	"ehlogate/lists/test/hostile"
)

func newLog(asJSON bool) (*logrus.Entry, *bytes.Buffer) {
	var out bytes.Buffer
	log := logrus.New()
	log.SetOutput(&out)
	log.SetFormatter(New(asJSON))
	return logrus.NewEntry(log), &out
}

// TestHostileFields checks that no text in a line is more than text: each line is one line, and all in it is visible.
func TestHostileFields(t *testing.T) {
	for _, text := range append(hostile.Texts, hostile.Readable...) {
		for _, asJSON := range []bool{false, true} {
			log, out := newLog(asJSON)
			log.WithFields(logrus.Fields{"helo": text, "file": text, "line": 3, "n": 1}).WithError(errors.New("x\n" + text)).Warn(text)
			if err := hostile.Check(out.String()); err != nil || strings.Count(out.String(), "\n") != 1 {
				t.Errorf("%q: %v in %s", text, err, out)
			}
			if !asJSON {
				continue
			}
			var line struct{ HELO, File, Error, Msg string }
			if err := json.Unmarshal(out.Bytes(), &line); err != nil {
				t.Errorf("%q: %v", text, err)
			}
			if utf8.ValidString(text) && (line.HELO != text || line.File != text || line.Msg != text || line.Error != "x\n"+text) {
				t.Errorf("%q: got %+q", text, line)
			}
			if text == "latin-1 \xfc" && line.HELO != `latin-1 \xfc` {
				t.Errorf("%q: got %s", text, line.HELO)
			}
		}
	}
}

// TestProblems checks where the place of a mistake is in both formats.
func TestProblems(t *testing.T) {
	problems := &diag.Problems{}
	problems.Add(diag.Problem{File: "/a b.list", Line: 2, Col: 3, Text: "ü300", Msg: "bad", Hint: "write it"})
	problems.Add(diag.Problem{File: "c.list", Msg: "empty"})
	unread := filewatch.ReadError{Problem: diag.Problem{File: "d.list", Msg: "no such device", Hint: "mount it"}}
	for _, tc := range []struct {
		err        error
		text, json string
	}{
		{
			fmt.Errorf("list: %w", problems),
			"level=error msg=bad at=\"/a b.list:2:2\" hint=\"write it\" list=x\nlevel=error msg=empty at=c.list list=x\nlevel=error msg=failed list=x problems=2\n",
			`{"column":2,"file":"/a b.list","hint":"write it","level":"error","line":2,"list":"x","msg":"bad"}` + "\n" +
				`{"file":"c.list","level":"error","list":"x","msg":"empty"}` + "\n" + `{"level":"error","list":"x","msg":"failed","problems":2}` + "\n",
		},
		{
			fmt.Errorf("list: %w", unread), "level=error msg=failed at=d.list error=\"no such device\" hint=\"mount it\" list=x\n",
			`{"error":"no such device","file":"d.list","hint":"mount it","level":"error","list":"x","msg":"failed"}` + "\n",
		},
		{errors.New("why"), "level=error msg=failed error=why list=x\n", `{"error":"why","level":"error","list":"x","msg":"failed"}` + "\n"},
	} {
		for _, asJSON := range []bool{false, true} {
			log, out := newLog(asJSON)
			switch f := log.Logger.Formatter.(type) {
			case *textLines:
				f.DisableTimestamp = true
			case *jsonLines:
				f.DisableTimestamp = true
			}
			LogProblems(log.WithField("list", "x"), tc.err, "failed")
			want := tc.text
			if asJSON {
				want = tc.json
			}
			if out.String() != want {
				t.Errorf("got\n%swant\n%s", out, want)
			}
		}
	}
}

// TestSkipped checks that the lines of a feed that were skipped are one warning, with their number and the place of the
// first one, and that a feed without such lines logs nothing.
func TestSkipped(t *testing.T) {
	log, out := newLog(true)
	var skipped diag.Problems
	LogSkipped(log, skipped)
	if out.Len() > 0 {
		t.Errorf("no line was skipped: got %s", out)
	}
	skipped.Add(diag.Problem{File: "/a.cidr", Line: 7, Col: 3, Text: "ü300", Msg: "bad", Hint: "write it"})
	skipped.Add(diag.Problem{File: "/b.cidr", Line: 9, Col: 1, Msg: "other"})
	LogSkipped(log, skipped)
	var got map[string]any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	delete(got, "time")
	want := map[string]any{"file": "/a.cidr", "line": 7., "column": 2., "skipped": 2., "hint": "write it", "level": "warning", "msg": "lines of the feed skipped; the first: bad"}
	if !maps.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}
