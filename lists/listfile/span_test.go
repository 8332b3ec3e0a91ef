package listfile

import (
	"errors"
	"net/netip"
	"regexp"
	"testing"

	"ehlogate/lists/iptable"
)

// No spelling of a network of IPv4-mapped addresses is IPv4, and no hint leads there or to another error.
func TestMappedNetworks(t *testing.T) {
	noHint := "remove the line: an IPv4 client is looked up by its IPv4 address"
	for word, hint := range map[string]string{
		"::ffff:0:0/96": noHint, "::ffff:0.0.0.0/96": noHint, "0:0:0:0:0:ffff:0:0/96": noHint, "::ffff:128.0.0.0/97": noHint, "::ffff:10.0.0.0/103": noHint,
		"::ffff:0.0.0.0-::ffff:255.255.255.255": noHint, "::ffff:0:0-255.255.255.255": noHint, "::ffff:0:0/95": noHint, "::ffff:0:0/0": noHint,
		"::ffff:10.0.0.0/104": "if the IPv4 network is meant, write 10.0.0.0/8", "::ffff:192.0.2.0/120": "if the IPv4 network is meant, write 192.0.2.0/24",
		"::ffff:192.0.2.1-192.0.2.3": "if the IPv4 network is meant, write 192.0.2.1-192.0.2.3",
		"::ffff:192.0.2.5/120":       "write 192.0.2.0/24 for the network, or 192.0.2.5 for the one address",
		"::ffff:192.0.2.5/96":        "correct the prefix length, or write 192.0.2.5 for the one address",
	} {
		_, _, err := ParseSpan(word)
		var e *SyntaxError
		if !errors.As(err, &e) || e.Hint != hint {
			t.Errorf("%s: %+v, want the hint %q", word, e, hint)
		}
	}
}

// What a hint says to write is valid, and never a network that a list may not have.
func TestHintsAreValid(t *testing.T) {
	written := regexp.MustCompile(`\bwrite (\S+[0-9a-f])|, or (?:write )?(\S+) for the one address`)
	for _, word := range []string{"192.0.2.5/24", "192.0.2.5/0", "192.0.2.5/7", "2001:db8::1/32", "2001:db8::1/0", "::ffff:192.0.2.5/120", "::ffff:192.0.2.5/96", "::ffff:10.0.0.0/103",
		"::ffff:192.0.2.0/120", "192.0.2.0/255.255.255.0", "192.0.2.5/255.255.255.0", "192.0.2.5/255.255.255.255", "192.0.2.5/0.0.0.0", "0.0.0.0/0.0.0.0", "192.0.2.5/254.0.0.0",
		"192.0.2.5/255.0.255.0", "::ffff:192.0.2.5/255.255.255.0", "192.0.2.9-192.0.2.1", "192.0.2.0-0.0.0.255"} {
		_, _, err := ParseSpan(word)
		var e *SyntaxError
		if !errors.As(err, &e) || e.Hint == "" {
			t.Errorf("%s: %v, want an error with a hint", word, err)
			continue
		}
		for _, m := range written.FindAllStringSubmatch(e.Hint, -1) {
			from, to, err := ParseSpan(m[1] + m[2])
			if it := (iptable.Item{From: from, To: to}); err != nil || isWide(&it) || from.Is4In6() {
				t.Errorf("%s: the hint %q: %v, %v", word, e.Hint, &it, err)
			}
		}
	}
}

func TestParseMask(t *testing.T) {
	for mask, want := range map[string]int{"255.255.255.0": 24, "255.0.0.0": 8, "255.255.255.255": 32, "254.0.0.0": -1, "0.0.0.0": -1, "255.0.255.0": -1, "0.0.0.255": -1, "24": -1, "ffff::": -1} {
		got, ok := ParseMask(mask)
		if !ok {
			got = -1
		}
		if got != want {
			t.Errorf("%s: %d, want %d", mask, got, want)
		}
	}
	if _, _, err := ParseSpan(netip.MustParseAddr("::ffff:192.0.2.1").String()); err != nil {
		t.Errorf("a mapped address: %v", err)
	}
}
