package listfile

import (
	"fmt"

	"ehlogate/lists"
	"ehlogate/lists/diag"
	"ehlogate/lists/iptable"
)

// Findings are mistakes in the files of a feed that do not refuse it.
type Findings struct {
	// Skipped are lines that have no effect: the program skips them whose format it is, or they match no client.
	Skipped diag.Problems
	// Unterminated are last lines without a newline. They were read.
	Unterminated []diag.Problem
}

// Rules are the rules of a list for its entries.
type Rules struct {
	Action    lists.Action
	Hides     bool // the list hides EHLO keywords other than STARTTLS
	AllowWide bool // allow entries that cover a large part of the Internet
	// Findings takes what does not refuse a feed; nil: it is an error, as in files that operators write themselves.
	Findings *Findings
	// AnyAction skips the rules that depend on Action, for a file that belongs to no known list.
	AnyAction bool
}

// check returns which rule an entry breaks.
func (r Rules) check(it *iptable.Item) (msg, hint string) {
	if it.Kind == iptable.HELO && it.Exception {
		return "exception for a HELO name, which any client can claim", "write an exception for an address or a verified host name"
	}
	if r.AnyAction {
		return "", ""
	}
	switch {
	case it.Kind == iptable.HELO && r.Action != lists.Suppress && r.Action != lists.NoAction:
		return fmt.Sprintf("HELO name, which any client can claim, in a list with action %q", r.Action),
			"HELO names are allowed only in lists that suppress, or hide keywords and have no action"
	case (it.Kind == iptable.Name || it.Kind == iptable.Domain) && r.Action == lists.Require:
		return "host name in a list with action \"require\"",
			"write addresses: a mail server looks up what to offer by address"
	case it.Exception || r.Action == lists.Offer && !r.Hides || r.AllowWide:
	case isWide(it):
		return fmt.Sprintf("%s is too wide for %s", it, r.describeList()),
			"correct it, or set allow_wide = true for this list in the config"
	}
	return "", ""
}

// describeList returns which kind of list the rules are for.
func (r Rules) describeList() string {
	if r.Action == lists.NoAction || r.Action == lists.Offer {
		return "a list that hides keywords"
	}
	return fmt.Sprintf("a list with action %q", r.Action)
}
