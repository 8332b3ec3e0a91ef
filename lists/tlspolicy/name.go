package tlspolicy

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

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
	case why == nil && lists.EndsInNumber(name):
		why = errors.New("it ends like an IP address; write the domain behind the @ of mail addresses")
	}
	if why != nil {
		return fmt.Errorf("%q is no domain: %w", s, why)
	}
	return nil
}

// hostNameError says what is wrong with a name in the spelling of
// lists.NormalizeName.
func hostNameError(name string) error {
	switch {
	case name == "":
		return errors.New("it is empty")
	case strings.HasSuffix(name, "."):
		return errors.New("it ends in a dot")
	case strings.Contains(name, "@"):
		return errors.New("write only what is behind the @")
	case strings.HasPrefix(name, "*.") || strings.HasPrefix(name, "."):
		return errors.New("write each domain by itself; there are no patterns here")
	}
	if err := lists.CheckHostName(name); err != nil {
		if strings.IndexFunc(name, func(c rune) bool { return c > unicode.MaxASCII }) >= 0 {
			return fmt.Errorf("%w: write it in ASCII, as it stands in DNS (xn--...)", err)
		}
		return err
	}
	// What clients have in their names, no mail domain has.
	if strings.Contains(name, "_") {
		return errors.New("invalid character '_' in a domain")
	}
	for label := range strings.SplitSeq(name, ".") {
		if label[0] == '-' || label[len(label)-1] == '-' {
			return fmt.Errorf("label %q begins or ends with a hyphen", label)
		}
	}
	return nil
}
