package tlspolicy

import (
	"errors"
	"fmt"
	"strings"

	"ehlogate/lists"
)

// maxDomain leaves room for the longest name below a domain that is asked
// about, _mta-sts.DOMAIN, in the 253 octets of a name (RFC 1035 section 2.3.4).
const maxDomain = 253 - len("_mta-sts.")

// CheckDomain says what is wrong with s as the name of a mail domain (RFC 5321
// section 4.1.2), in any case and with or without the last dot. IDN are
// written as A-labels (RFC 5890).
func CheckDomain(s string) error {
	name := lists.NormalizeName(s)
	why := hostNameError(name)
	switch {
	case why == nil && len(name) > maxDomain:
		why = fmt.Errorf("it has %d characters, and at most %d are possible", len(name), maxDomain)
	case why == nil && strings.Trim(name[strings.LastIndexByte(name, '.')+1:], "0123456789") == "":
		why = errors.New("it ends like an IP address; write the domain behind the @ of mail addresses")
	}
	if why != nil {
		return fmt.Errorf("%q is no domain: %w", s, why)
	}
	return nil
}

// hostNameError says what is wrong with a name in the spelling of
// lists.NormalName.
func hostNameError(name string) error {
	switch {
	case name == "":
		return errors.New("it is empty")
	case strings.Contains(name, "@"):
		return errors.New("write only what is behind the @")
	case strings.HasPrefix(name, "*.") || strings.HasPrefix(name, "."):
		return errors.New("write each domain by itself; there are no patterns here")
	}
	for _, c := range name {
		switch {
		case c > '~':
			return errors.New("write it in ASCII, as it stands in DNS (xn--...)")
		case c != '.' && !isLetterDigit(byte(c)) && c != '-':
			return fmt.Errorf("%q cannot be in it", c)
		}
	}
	for label := range strings.SplitSeq(name, ".") {
		switch {
		case label == "":
			return errors.New("there is nothing between two of its dots")
		case len(label) > 63:
			return fmt.Errorf("%q has more than 63 characters", label)
		case label[0] == '-' || label[len(label)-1] == '-':
			return fmt.Errorf("%q begins or ends with a hyphen", label)
		}
	}
	return nil
}

func isLetterDigit(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
