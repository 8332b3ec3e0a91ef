package listfile

import (
	"errors"
	"fmt"
	"testing"

	"ehlogate/lists"
)

func TestParseHostName(t *testing.T) {
	for text, want := range map[string]string{
		"Mail.Example.ORG.": "mail.example.org", ".Example.net": ".example.net",
		".":               "0: empty host name, ",
		"..b":             "0: empty label in host name, ",
		".a/b":            "2: invalid character '/' in host name, ",
		"müller.example":  "1: non-ASCII character in host name, write the xn-- form of the name",
		"a\u200b.example": "1: non-ASCII character in host name, U+200B looks like another character, or like none: type the line again",
	} {
		got, err := ParseHostName(text)
		var e *SyntaxError
		if errors.As(err, &e) {
			got = fmt.Sprintf("%d: %v, %s", e.Offset, e, e.Hint)
		}
		if got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}

// A valid name stays as it is when it is parsed again; an error has a place in the text.
func FuzzParseHostName(f *testing.F) {
	for _, seed := range []string{"Mail.Example.ORG.", ".example.net", "a..b", "m\u00fcller", ".", "\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, err := ParseHostName(s)
		var e *SyntaxError
		if err != nil && (!errors.As(err, &e) || e.Offset < 0 || e.Offset > len(s) || e.Width < 1) {
			t.Fatalf("%q: an error without a place: %#v", s, err)
		}
		if err == nil {
			if again, err := ParseHostName(name); err != nil || again != name || lists.NormalizeName(s) != name {
				t.Fatalf("%q became %q, and that %q, %v", s, name, again, err)
			}
		}
	})
}
