package tlspolicy

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

	"ehlogate/lists"
)

// maxDomain leaves room for the longest name that is looked up below a domain, _mta-sts.DOMAIN, in the 253 octets of a
// name (RFC 1035 section 2.3.4).
const maxDomain = 253 - len("_mta-sts.")

// CheckDomain returns what is wrong with s as the name of a mail domain (RFC 5321 section 4.1.2), in any case and with
// or without the last dot. IDN are written as A-labels (RFC 5890).
func CheckDomain(s string) error {
	name := lists.NormalizeName(s)
	err := lists.CheckHostName(name)
	switch {
	case strings.Contains(name, "@"):
		err = errors.New("write only what is after the @")
	case strings.HasPrefix(name, "*.") || strings.HasPrefix(name, "."):
		err = errors.New("patterns are not supported; write each domain by itself")
	case strings.ContainsFunc(name, func(c rune) bool { return c > unicode.MaxASCII }):
		err = errors.New("write it in ASCII, as in DNS (xn--...)")
	case err != nil:
	case strings.Contains(name, "_"): // which host names of clients have
		err = errors.New("invalid character '_'")
	case strings.Contains("."+name+".", ".-") || strings.Contains("."+name+".", "-."):
		err = errors.New("a label begins or ends with a hyphen")
	case len(name) > maxDomain:
		err = fmt.Errorf("%d characters; at most %d are allowed", len(name), maxDomain)
	case lists.EndsInNumber(name):
		err = errors.New("ends like an IP address; write what is after the @ of mail addresses")
	}
	if err != nil {
		return fmt.Errorf("invalid domain %q: %w", s, err)
	}
	return nil
}
