package listedit

import (
	"fmt"
	"slices"
	"strings"

	"ehlogate/lists"
)

// Outcome is what a client is offered. Values are compared.
type Outcome struct {
	Action     string         // "limit": the limit decides
	Hidden     lists.Keywords // besides STARTTLS
	Submission lists.Keywords // hidden on submission
}

func (o Outcome) String() string {
	text := o.Action
	if o.Hidden != 0 {
		text += ", hides " + strings.ToUpper(o.Hidden.String())
	}
	if o.Submission != 0 {
		text += ", hides " + strings.ToUpper(o.Submission.String()) + " on submission"
	}
	return text
}

// restricts reports whether a client is offered less than before.
func (o Outcome) restricts(before Outcome) bool {
	return o.Action != before.Action && o.Action != lists.Offer.String() ||
		o.Hidden&^before.Hidden != 0 || o.Submission&^before.Submission != 0
}

// policy decides as the daemon does, as far as files can.
type policy struct {
	*lists.Policy
	limits bool // default = "limit"
}

// decide returns what a client is offered, and why.
func (p *policy) decide(c lists.Client) (Outcome, lists.Verdict) {
	d := p.DecideCached(c)
	o := Outcome{Action: d.Action.String(), Hidden: d.Hide()}
	switch byDefault := d.Reason == lists.ReasonDefault || d.Reason == lists.ReasonNoAddress; {
	case byDefault && p.limits:
		o.Action = lists.ReasonLimit.String()
	case d.Reason == lists.ReasonNoAddress: // the entry is about names; each client has an address
		o.Action = p.Default.String()
	}
	c.Service = lists.Submission
	onSubmission := p.DecideCached(c)
	o.Submission = onSubmission.Hide()
	return o, d.Verdict
}

// explain returns why a client is offered what it is, if no entry decides; "" if one does.
func (o Outcome) explain(v lists.Verdict) string {
	switch byDefault := v.Reason == lists.ReasonDefault || v.Reason == lists.ReasonNoAddress; {
	case v.Reason == lists.ReasonListed:
		return ""
	case v.Reason == lists.ReasonUnavailable:
		return fmt.Sprintf("list %q is unavailable", v.ListName())
	case v.Reason == lists.ReasonObserve:
		return `mode = "observe"`
	case !byDefault:
		return v.Reason.String()
	case o.Action != lists.Offer.String():
		return fmt.Sprintf("no list matches (default = %q)", o.Action)
	case o.Hidden|o.Submission != 0:
		return "no list decides on STARTTLS"
	}
	return "no list matches"
}

// explainObserved returns what would be decided on a client if no mode were "observe"; "" if that is decided.
func (p *policy) explainObserved(c lists.Client) string {
	d := p.DecideCached(c)
	verdict, observing := d.WithoutObserve()
	if d.Reason == lists.ReasonObserve {
		observing = append(slices.Clone(observing), verdict)
	}
	for _, v := range observing {
		switch {
		case v.Reason == lists.ReasonListed:
			return fmt.Sprintf("it would be %s, by %s", v.Action, Place(v.Entry().File, v.Entry().Line))
		case v.Action != d.Action:
			return fmt.Sprintf("it would be %s", v.Action)
		}
	}
	return ""
}

// would returns what a list that observes, or all of a policy that does, would have done for a client.
func (p *policy) would(c lists.Client, list string) (action lists.Action, matches bool) {
	d := p.DecideCached(c)
	verdict, observing := d.WithoutObserve()
	for _, v := range append(observing, verdict) {
		if v.ListName() == list && v.Reason == lists.ReasonListed {
			return v.Action, true
		}
	}
	return lists.NoAction, false
}
