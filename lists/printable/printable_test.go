package printable

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"ehlogate/lists/test/hostile"
)

func TestEscape(t *testing.T) {
	for text, want := range map[string]string{
		"":                   "",
		"a\nb\rc\td":         `a\nb\rc\td`,
		"\x1b[31m":           `\x1b[31m`,
		"\u009b":             `\u009b`,
		"\u202e":             `\u202e`,
		"\U000e0041":         `\U000e0041`,
		"ü\xfc":              `ü\xfc`,
		"a\u2028b":           `a\u2028b`,
		`back\slash "quote"`: `back\slash "quote"`,
	} {
		if got := Escape(text); got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
	for _, text := range hostile.Texts {
		for _, got := range []string{Escape(text), EscapeExcept(text, "\t"), EscapeASCII(text)} {
			if err := hostile.Check(got); err != nil {
				t.Errorf("%q: %v", text, err)
			}
		}
	}
	for _, text := range hostile.Readable {
		if got := Escape(text); got != text {
			t.Errorf("%s became %s", text, got)
		}
	}
	if got := EscapeExcept("a\tb\nc", "\t"); got != "a\tb"+`\nc` {
		t.Errorf("got %q", got)
	}
	if got := EscapeASCII("a b~\nü"); got != `a b~\n\u00fc` {
		t.Errorf("got %q", got)
	}
	if n := testing.AllocsPerRun(10, func() { Escape("mail.example.org größer") }); n != 0 {
		t.Errorf("%v allocations for a clean text", n)
	}
}

// TestWriteJSON checks that a document shows nothing that is not visible, and has the same values.
func TestWriteJSON(t *testing.T) {
	for _, text := range append(hostile.Texts, hostile.Readable...) {
		var b bytes.Buffer
		if err := WriteJSON(&b, map[string]string{"k": text}); err != nil {
			t.Fatal(err)
		}
		if err := hostile.Check(b.String()); err != nil {
			t.Errorf("%q: %v", text, err)
		}
		var back map[string]string
		if err := json.Unmarshal(b.Bytes(), &back); err != nil || utf8.ValidString(text) && back["k"] != text {
			t.Errorf("%q: got %q, %v", text, back, err)
		}
	}
	for _, text := range hostile.Readable {
		var b bytes.Buffer
		if err := WriteJSON(&b, strings.Trim(text, `ab\c"d' `)); err != nil || strings.Contains(b.String(), `\u`) {
			t.Errorf("%s became %s, %v", text, &b, err)
		}
	}
}

func TestShorten(t *testing.T) {
	for _, tc := range []struct {
		text string
		max  int
		want string
	}{
		{"abcdef", 6, "abcdef"}, {"abcdefg", 6, "abc..."}, {"aüüüü", 7, "aü..."}, {"aüüüü", 8, "aüü..."}, {strings.Repeat("\x80", 40), 30, strings.Repeat("\x80", 14) + "..."},
	} {
		if got := Shorten(tc.text, tc.max); got != tc.want || len(got) > tc.max {
			t.Errorf("%q, %d: got %q, want %q", tc.text, tc.max, got, tc.want)
		}
	}
}

func FuzzEscape(f *testing.F) {
	for _, text := range append(hostile.Texts, hostile.Readable...) {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, got := range []string{Escape(text), EscapeASCII(text), Escape(Shorten(text, 20))} {
			if err := hostile.Check(got); err != nil {
				t.Error(err)
			}
		}
		doc, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		var plain, escaped string
		if err := json.Unmarshal(doc, &plain); err != nil {
			t.Fatal(err)
		}
		doc = EscapeJSON(doc)
		if err := json.Unmarshal(doc, &escaped); err != nil || plain != escaped {
			t.Errorf("got %q, want %q, %v", escaped, plain, err)
		}
		if err := hostile.Check(string(doc)); err != nil {
			t.Error(err)
		}
	})
}
