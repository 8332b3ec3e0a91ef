package lists

import (
	"fmt"
	"strings"
)

const (
	// MaxNameLength is the maximum length of a domain name, in bytes without the last dot (RFC 1035 section 2.3.4).
	MaxNameLength  = 253
	maxLabelLength = 63
)

// NormalizeName returns the spelling in which host and HELO names are compared: lower case, without dots at the end (the
// root).
func NormalizeName(s string) string {
	return strings.ToLower(strings.TrimRight(s, "."))
}

// HostNameError is what is wrong with a host name, and the offset at which it shows.
type HostNameError struct {
	Offset int
	Msg    string
}

func (e *HostNameError) Error() string { return e.Msg }

// CheckHostName returns a [*HostNameError] if name is no host name (RFC 1123 section 2.1), in any case, with or without the
// last dot. Underscores and hyphens may stand anywhere in a label: both occur in the names of real clients.
func CheckHostName(name string) error {
	name = strings.TrimSuffix(name, ".")
	fail := func(offset int, format string, args ...any) error {
		return &HostNameError{offset, fmt.Sprintf(format, args...)}
	}
	if name == "" {
		return fail(0, "empty host name")
	}
	if len(name) > MaxNameLength {
		return fail(0, "host name is longer than %d bytes", MaxNameLength)
	}
	label := 0 // its first byte
	for i := range len(name) + 1 {
		switch {
		case i == len(name) || name[i] == '.':
			if i == label {
				return fail(max(i-1, 0), "empty label in host name")
			}
			if i-label > maxLabelLength {
				return fail(label, "label is longer than %d bytes", maxLabelLength)
			}
			label = i + 1
		case name[i] >= 0x80:
			return fail(i, "non-ASCII character in host name")
		case !isLabelByte(name[i]):
			return fail(i, "invalid character %q in host name", name[i])
		}
	}
	return nil
}

// IsNormalHostName reports whether s is a host name in the spelling of [NormalizeName]. That takes less time than CheckHostName.
func IsNormalHostName(s string) bool {
	label := 0 // its first byte
	for i := range len(s) {
		if s[i] == '.' {
			if n := i - label; n == 0 || n > maxLabelLength {
				return false
			}
			label = i + 1
		} else if !isNormalByte[s[i]] {
			return false
		}
	}
	n := len(s) - label
	return n > 0 && n <= maxLabelLength && len(s) <= MaxNameLength
}

// isNormalByte has the bytes of labels, but for upper case.
var isNormalByte = func() (is [256]bool) {
	for c := range is {
		is[c] = isLabelByte(byte(c)) && (c < 'A' || c > 'Z')
	}
	return is
}()

func isLabelByte(c byte) bool {
	return c == '-' || c == '_' || c-'0' < 10 || c|0x20-'a' < 26
}

// EndsInNumber reports whether the last label of name is a number, as in an IPv4 address. No top-level domain is one
// (RFC 3696 section 2).
func EndsInNumber(name string) bool {
	name = strings.TrimSuffix(name, ".")
	return strings.Trim(name[strings.LastIndexByte(name, '.')+1:], "0123456789") == ""
}

// ParseHostName returns the spelling of NormalizeName, and false if s is no host name, or ends in a number as an IPv4
// address does.
func ParseHostName(s string) (string, bool) {
	s = NormalizeName(s)
	return s, CheckHostName(s) == nil && !EndsInNumber(s)
}
