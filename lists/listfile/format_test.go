package listfile

import (
	"errors"
	"io"
	"net/netip"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/diag"
	"ehlogate/lists/iptable"
)

// upsideDown is a grammar: one address a line, the bytes in reverse order.
type upsideDown string

var _ Grammar = upsideDown("")

func (upsideDown) Parse(r io.Reader, name string, rules Rules, each func(*Item) error) error {
	l := NewLines(r, name, rules, each)
	for l.Next() {
		b := []byte(strings.TrimSpace(string(l.Text)))
		if len(b) == 0 {
			continue
		}
		for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
			b[i], b[j] = b[j], b[i]
		}
		if from, to, err := ParseSpan(string(b)); err != nil {
			l.FailSyntax(0, err, "")
		} else {
			l.Yield(&Item{Item: iptable.Item{From: from, To: to}, Col: 1, Width: len(l.Text)})
		}
	}
	return l.Finish()
}

// allDomains has a domain in each line.
type allDomains struct{}

func (allDomains) Parse(r io.Reader, name string, rules Rules, each func(*Item) error) error {
	l := NewLines(r, name, rules, each)
	for l.Next() {
		if domain := strings.Trim(string(l.Text), "."); domain != "" {
			l.Yield(&Item{Item: iptable.Item{Kind: iptable.Domain, Name: domain}, Col: 1, Width: len(l.Text)})
		}
	}
	return l.Finish()
}

// A list in another format is read, loaded, checked and compared as any.
func TestFormat(t *testing.T) {
	dir := t.TempDir()
	spec := Spec{Patterns: []string{filepath.Join(dir, "x.list")}, Rules: Rules{Action: lists.Suppress}, Format: upsideDown("")}
	write(t, spec.Patterns[0], "1.2.0.291\n9.2.0.291\n1.2.0.291\n")
	s := New(spec, time.Now)
	must(t, load(&s))
	a := netip.MustParseAddr("192.0.2.9")
	found := s.Lookup(lists.Client{Addr: a})
	if e := found.Entry(a); found.Status != lists.Matched || e.Line != 2 || e.Text != "192.0.2.9" {
		t.Errorf("%v by %+v", found.Status, e)
	}
	lint := Lint{Now: epoch}
	if l, err := lint.Check("x", spec, lists.Enforce, true); err != nil || l.Status().Entries != 3 || lint.Warnings.Total > 0 {
		t.Errorf("%v, %s", err, lint.Warnings.Report("warning"))
	}
	own := filepath.Join(dir, "own.list")
	write(t, own, "192.0.2.9\n")
	if _, err := lint.Check("own", Spec{Patterns: []string{own}}, lists.Enforce, true); err != nil || !strings.Contains(lint.Warnings.Report("warning"), `192.0.2.9 is also in list "x"`) {
		t.Errorf("%v, %s", err, lint.Warnings.Report("warning"))
	}
	// A domain of a table has the name itself, and all below it.
	write(t, own, "b.example\n.b.example\na.b.example\n")
	lint = Lint{Now: epoch}
	if _, err := lint.Check("domains", Spec{Patterns: []string{own}, Format: allDomains{}}, lists.Enforce, true); err != nil {
		t.Fatal(err)
	}
	if _, err := lint.Check("own", Spec{Patterns: []string{own}, Rules: Rules{AllowWide: true}}, lists.Enforce, true); err != nil || lint.Warnings.Total != 3 || lint.Warnings.First[1].Line != 2 {
		t.Errorf("%v, %s", err, lint.Warnings.Report("warning"))
	}
	same := spec
	same.Patterns = append([]string(nil), spec.Patterns...)
	if !reflect.DeepEqual(spec, same) {
		t.Error("a spec is not as itself")
	}
	same.Format = nil
	if reflect.DeepEqual(spec, same) {
		t.Error("the format makes no difference")
	}

	// What all formats refuse, and where.
	for text, want := range map[string]string{
		"":                                "x.list: error: empty file (truncated write?)",
		" \r\n":                           "x.list: error: empty file (truncated write?)",
		"1.2.0.291":                       "x.list:1:10: error: missing newline at end of file",
		"1.2.0.291\n\x00\n":               "x.list:2:1: error: invalid byte 0x00",
		"1.1.1.1\n\xef\xbb\xbf1.1.1.1\n":  "x.list:2:1: error",
		"2/0.0.0.0\n":                     "x.list:1:1: error: 0.0.0.0/2 is too wide",
		strings.Repeat("1", 5000) + "\n":  "x.list:1:1: error: line is longer",
		strings.Repeat("1", 70000) + "\n": "x.list:1:1: error: line is longer",
	} {
		err := upsideDown("").Parse(strings.NewReader(text), "x.list", spec.Rules, func(*Item) error { return nil })
		var ps *diag.Problems
		if !errors.As(err, &ps) || ps.Total != 1 || !strings.Contains(ps.Report("error"), want) {
			t.Errorf("%.20q: %v, want %q", text, err, want)
		}
	}
}

// An error of the reader or of each ends it.
func TestLinesEnd(t *testing.T) {
	broken := errors.New("broken")
	for name, grammar := range map[string]func(io.Reader, string, Rules, func(*Item) error) error{"list": Parse, "other": upsideDown("").Parse} {
		n := 0
		each := func(*Item) error { n++; return broken }
		r := io.MultiReader(strings.NewReader(strings.Repeat("1.1.1.1\n", 100)+"x\n"), errorReader{errors.New("read on")})
		if err := grammar(r, "x", Rules{}, each); err != broken || n != 1 {
			t.Errorf("%s: %v after %d", name, err, n)
		}
		r = io.MultiReader(strings.NewReader("1.1.1.1\n"), errorReader{broken})
		if err := grammar(r, "x", Rules{}, func(*Item) error { return nil }); !errors.Is(err, broken) || !strings.Contains(err.Error(), "cannot read x") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

type errorReader struct{ err error }

func (r errorReader) Read([]byte) (int, error) { return 0, r.err }
