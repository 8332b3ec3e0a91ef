package lists

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func TestCheckHostName(t *testing.T) {
	long := strings.Repeat("abcdefg.", 31) + "abcde" // 253 bytes
	for _, name := range []string{"a", "mail.example", "Mail.Example.", "a-b_c.d", "-a-", "192.0.2.1", "x.123", long, long + ".", strings.Repeat("a", 63) + ".b"} {
		if err := CheckHostName(name); err != nil {
			t.Errorf("%q: got %v, want no error", name, err)
		}
	}
	for name, want := range map[string]HostNameError{
		"":                             {0, "empty host name"},
		".":                            {0, "empty host name"},
		".a":                           {0, "empty label in host name"},
		"a..b":                         {1, "empty label in host name"},
		"a..":                          {1, "empty label in host name"},
		"a b":                          {1, "invalid character ' ' in host name"},
		"a.b*":                         {3, "invalid character '*' in host name"},
		"a\x00":                        {1, `invalid character '\x00' in host name`},
		`a\032b`:                       {1, `invalid character '\\' in host name`},
		"2001:db8::1":                  {4, "invalid character ':' in host name"},
		"ä.example":                    {0, "non-ASCII character in host name"},
		long + "f":                     {0, "host name is longer than 253 bytes"},
		"b." + strings.Repeat("a", 64): {2, "label is longer than 63 bytes"},
	} {
		var got *HostNameError
		if err := CheckHostName(name); !errors.As(err, &got) || *got != want {
			t.Errorf("%q: got %v, want %v", name, err, want)
		}
	}
}

func TestEndsInNumber(t *testing.T) {
	for name, want := range map[string]bool{"192.0.2.1": true, "25": true, "a.1.": true, "a.1b": false, "1.example": false, "a": false} {
		if got := EndsInNumber(name); got != want {
			t.Errorf("%q: got %v, want %v", name, got, want)
		}
	}
}

func TestParseHostName(t *testing.T) {
	for in, want := range map[string]string{
		"mail.example": "mail.example", "Mail.Example.": "mail.example", "a": "a", "a-b_c.d": "a-b_c.d", "1.2.3.4a": "1.2.3.4a", "x.123a": "x.123a",
		"": "", ".": "", ".a": "", "a..b": "", "1.2.3.4": "", "123": "", "a.b c": "", `a\.b.example`: "", `a\032.example`: "", "a*.b": "", "ä.example": "",
		"a/b": "", "mail.example\x00": "", "[1.2.3.4]": "", "2001:db8::1": "",
		strings.Repeat("a", 63) + ".example": strings.Repeat("a", 63) + ".example", strings.Repeat("a", 64) + ".example": "",
		strings.Repeat("abcdefg.", 31) + "abcde":  strings.Repeat("abcdefg.", 31) + "abcde", // 253
		strings.Repeat("abcdefg.", 31) + "abcdef": "",
	} {
		got, ok := ParseHostName(in)
		if ok != (want != "") || ok && got != want {
			t.Errorf("%q: %q, %v", in, got, ok)
		}
		if ok && got != NormalizeName(in) {
			t.Errorf("%q is not spelt as lists spell it", got)
		}
		if got, want := IsNormalHostName(in), CheckHostName(in) == nil && NormalizeName(in) == in; got != want {
			t.Errorf("%q is normal: %v", in, got)
		}
	}
}

func FuzzParseHostName(f *testing.F) {
	for _, s := range []string{"mail.example", "a..b", `a\.b`, "1.2.3.4", "-", "_.", "x.1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got, want := IsNormalHostName(s), CheckHostName(s) == nil && NormalizeName(s) == s; got != want {
			t.Fatalf("%q is normal: %v", s, got)
		}
		name, ok := ParseHostName(s)
		if !ok {
			return
		}
		if again, ok := ParseHostName(name); !ok || again != name || len(name) > MaxNameLength {
			t.Fatalf("%q became %q, which became %q", s, name, again)
		}
		if _, err := netip.ParseAddr(name); err == nil || strings.ContainsAny(name, " \\/:*@\x00") {
			t.Fatalf("%q", name)
		}
		for label := range strings.SplitSeq(name, ".") {
			if label == "" || len(label) > 63 {
				t.Fatalf("%q", name)
			}
		}
	})
}
