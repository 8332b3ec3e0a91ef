// Package hostile has texts that strangers send to change what an operator sees, and what a reader of their output checks.
package hostile

import (
	"fmt"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"ehlogate/lists"
)

// Texts are such texts. None of them has a newline.
var Texts = []string{
	"\x1b[2J\x1b[31mred", "\x1b]0;title\a", "\x00\b\r\x7f", // control characters, and sequences of terminals
	"\u009b31m", "\u0085\u0080", // C1: the same in one character
	"\u202egnp.exe", "\u2066a\u2069\u2067b", "\u200e\u200f\u061c", // bidirectional: the line is shown in another order
	"zero\u200bwidth\u200c\u200d\ufeff\u2060", "soft\u00adhyphen", // nothing is shown
	"a\u2028b\u2029c",                                                             // line ends
	"\u3164\u115f\uffa0\u034f\u180b", "a\ufe0f\U000e0101", "\U000e0041\U000e007f", // letters, marks and tags that show nothing
	"\ue000\U000f0000", "\u0378", // private use; not assigned
	"latin-1 \xfc", "\xff\xfe", "cut \xe2\x80", "\xed\xa0\x80", // invalid UTF-8
	strings.Repeat("\u202e", 2000), strings.Repeat("x", 5000),
}

// Readable are texts in languages of operators, which stay as they are.
var Readable = []string{
	"Drucker im Büro, größer", "打印机 坏了", "принтер", "εκτυπωτής", "מדפסת", "طابعة", "प्रिंटर", "プリンター", "e\u0301", "50\u00a0€", "🖨 broken", `a\b "c" 'd' <e> & %s`,
}

// Check returns an error if output has anything that a terminal does not just show.
func Check(output string) error {
	for i, r := range output {
		switch {
		case r == '\n', r == '\t':
		case r == utf8.RuneError && !strings.HasPrefix(output[i:], "\ufffd"):
			return fmt.Errorf("invalid UTF-8 at byte %d: %q", i, context(output, i))
		case !unicode.IsGraphic(r) || unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector):
			return fmt.Errorf("%U at byte %d: %q", r, i, context(output, i))
		}
	}
	return nil
}

func context(s string, at int) string { return s[max(0, at-40):min(len(s), at+20)] }

// Decision returns a decision to suppress by an entry with such a text.
func Decision(text string) lists.Decision {
	p := lists.Policy{Lists: []*lists.List{{Name: "feed", Action: lists.Suppress, Source: source(text)}}}
	return p.DecideCached(lists.Client{Addr: netip.MustParseAddr("192.0.2.1")})
}

// source matches every client.
type source string

func (s source) Lookup(lists.Client) lists.Match {
	return lists.Match{Status: lists.Matched, By: s}
}

func (s source) Entry(int32, netip.Addr) lists.Entry { return lists.Entry{Text: string(s)} }
