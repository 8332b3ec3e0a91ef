package lists

import (
	"errors"
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
