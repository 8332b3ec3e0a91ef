// Package lists is the domain of ehlogate: what is known of an SMTP client, what lists say of it, and which action
// follows. It does no I/O and knows no protocol.
//
// A [Policy] walks its lists in order. The first list that matches the client decides; without a match the default
// does. Every list that matches adds the other EHLO keywords that it hides. Each list is filled by a [Source]: list files, feeds, DNS lists.
//
// A Source answers at once. If it has to look something up it says [Pending], starts the lookup, and returns channels
// that tell when it knows more. So deciding takes three steps, in [Policy.Decide]:
//
//   - Walk the lists. Nearly always everything is known, and this decides, without a lock, a clock or a timer.
//   - If a pending list could change the decision, wait for it, then walk again. One timer, Policy.Wait, bounds all waits
//     of one question. A walk does not stop at a pending list, so the lookups of all lists run at the same time.
//   - When the time is up, walk once more. What is still pending now counts as unavailable, unless its source has an
//     older answer to fall back on.
//
// Every doubt ends with [Offer]. STARTTLS that is offered needlessly costs some CPU; STARTTLS that is hidden by mistake
// sends mail in the clear.
package lists

// List is a named source of entries with an action.
type List struct {
	Name     string
	Action   Action
	Hide     Keywords // EHLO keywords that are hidden from the clients that the list matches, whichever list decides
	Services Services // to which it applies; on submission only Hide counts
	Mode     Mode
	Source   Source
	// Sessions is Source if that is a SessionSource; else nil.
	Sessions SessionSource
	// External means that the operator of this server does not write the entries, as in a feed or a DNS list. A Guard can
	// keep such a list from suppressing.
	External bool
}
