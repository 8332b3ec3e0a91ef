package config

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"ehlogate/lists/diag"
)

// mistake is a config as operators write it, and what the operator gets of it by following the hint; "" if that is
// another file; told is what is reported.
type mistake struct{ text, mended, told string }

const mistakesFile = "testdata/mistakes.txt"

func readMistakes(t testing.TB) (all []mistake) {
	t.Helper()
	data, err := os.ReadFile(mistakesFile)
	if err != nil {
		t.Fatal(err)
	}
	unquote := func(s string) string {
		text, err := strconv.Unquote(strings.TrimSpace(s))
		if err != nil {
			t.Fatalf("%s: %v", s, err)
		}
		return text
	}
	for line := range strings.Lines(string(data)) {
		switch last := len(all) - 1; {
		case line[0] == '"':
			all = append(all, mistake{text: unquote(line)})
		case strings.HasPrefix(line, "\t\""):
			all[last].mended = unquote(line)
		case line != "\t-\n":
			all[last].told += line
		}
	}
	return all
}

// TestMistakes checks that each mistake is an error with its place and a hint, and that the config is valid once the hint
// was followed. UPDATE=1 writes what is reported anew.
func TestMistakes(t *testing.T) {
	var b strings.Builder
	for _, m := range readMistakes(t) {
		_, err := parse("x", "/etc/ehlogate", []byte(m.text))
		ps, ok := err.(*diag.Problems)
		if !ok {
			t.Errorf("%q is no mistake", m.text)
			continue
		}
		told := ""
		for _, p := range ps.First {
			told += fmt.Sprintf("\t%d:%d %+q\n\t\t%+q\n", p.Line, p.Column(), p.Msg, p.Hint)
			if p.Line == 0 || p.Column() == 0 || p.Hint == "" {
				t.Errorf("%q: no place or no hint: %+v", m.text, p)
			}
		}
		if os.Getenv("UPDATE") == "" && told != m.told {
			t.Errorf("%q: got\n%swant\n%s", m.text, told, m.told)
		}
		mended := "-"
		if m.mended != "" {
			mended = strconv.QuoteToASCII(m.mended)
			if _, err := parse("x", "/etc/ehlogate", []byte(m.mended)); err != nil {
				t.Errorf("%q: still wrong once mended: %v", m.mended, err)
			}
		}
		fmt.Fprintf(&b, "%s\n\t%s\n%s", strconv.QuoteToASCII(m.text), mended, told)
	}
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(mistakesFile, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
