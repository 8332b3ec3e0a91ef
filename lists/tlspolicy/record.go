package tlspolicy

import (
	"errors"
	"fmt"
	"strings"

	"github.com/miekg/dns"
)

// records gives the TXT records that are about MTA-STS (RFC 8461 section 3.1).
func records(answer []dns.RR) (found []string) {
	for _, rr := range answer {
		if txt, ok := rr.(*dns.TXT); ok {
			if s := strings.Join(txt.Txt, ""); strings.HasPrefix(s, "v=STSv1;") {
				found = append(found, s)
			}
		}
	}
	return found
}

// parseRecord gives the id of the policy that a record announces. The record
// begins with "v=STSv1;".
func parseRecord(s string) (id string, err error) {
	fields := strings.Split(s, ";")[1:]
	for i, field := range fields {
		field = strings.Trim(field, " \t")
		if field == "" && i == len(fields)-1 && i > 0 {
			break // the last delimiter may stand alone
		}
		name, value, ok := strings.Cut(field, "=")
		switch {
		case !ok || !isExtensionName(name):
			return "", fmt.Errorf("%q in the record is not of the form name=value", field)
		case value == "" || strings.ContainsFunc(value, func(c rune) bool { return c <= ' ' || c > '~' || c == '=' }):
			return "", fmt.Errorf("%q in the record has no proper value", field)
		case name == "id" && id == "": // of several the first counts
			if id = value; !isID(id) {
				return "", fmt.Errorf("%q in the record is no id: write 1 to 32 letters and digits", value)
			}
		}
	}
	if id == "" {
		return "", errors.New("the record has no id")
	}
	return id, nil
}

func isID(s string) bool {
	for i := range len(s) {
		if !isLetterDigit(s[i]) {
			return false
		}
	}
	return 1 <= len(s) && len(s) <= 32
}

// isExtensionName is about the names of fields, in the record and in the policy.
func isExtensionName(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isLetterDigit(c) && (i == 0 || c != '_' && c != '-' && c != '.') {
			return false
		}
	}
	return 1 <= len(s) && len(s) <= 32
}

func isLetterDigit(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
