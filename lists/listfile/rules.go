package listfile

import (
	"fmt"
	"strings"

	"ehlogate/lists"
)

// Rules are what a list demands of its entries.
type Rules struct {
	Action    lists.Action
	AllowWide bool // accept what covers a large part of the Internet
	// AnyAction skips the demands that depend on Action, for a file of which
	// it is not known to which list it belongs.
	AnyAction bool
}

// CheckRules notes a problem if an entry is not as the list demands. The entry
// knows where it stands.
func (l *Lines) CheckRules(it *Item) bool {
	msg, hint := l.rules.demand(it)
	if msg != "" {
		l.Problems.Add(Problem{File: l.Name, Line: it.Line, Col: it.Col, Width: it.Width, Text: string(it.text), Msg: msg, Hint: hint})
	}
	return msg == ""
}

// demand says what is wrong with an entry for such a list.
func (r Rules) demand(it *Item) (msg, hint string) {
	if it.Kind == HELO && it.Hole {
		return "a HELO name cannot be a hole: it is what the client claims, and anybody could claim it",
			"except clients by address or by verified name"
	}
	if r.AnyAction {
		return "", ""
	}
	switch {
	case it.Kind == HELO && r.Action != lists.Suppress:
		return fmt.Sprintf("a HELO name in a list with action %q: it is what the client claims, and anybody could claim it", r.Action),
			"HELO names stand in suppress lists only"
	case it.Kind == Name && r.Action == lists.Require:
		return "a host name in a list with action \"require\"",
			"require lists hold addresses only, since a mail server asks about EHLO by address"
	case it.Hole || r.Action == lists.Offer || r.AllowWide:
	case it.wide():
		return fmt.Sprintf("%s is very wide for a list with action %q", it, r.Action),
			"correct it, or set allow_wide = true for this list in the config"
	}
	return "", ""
}

// wide: more than an IPv4 /8 or an IPv6 /19, a whole top-level domain, or
// every name.
func (it *Item) wide() bool {
	if it.Kind != Address {
		return strings.HasPrefix(it.Name, ".") && strings.Count(it.Name, ".") == 1
	}
	span := keyOf(it.To).minus(keyOf(it.From))
	if it.From.Is4() {
		return span.lo >= 1<<(32-8)
	}
	return span.hi >= 1<<(64-19)
}
