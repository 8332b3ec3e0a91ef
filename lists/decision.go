package lists

import (
	"context"
	"net/netip"
)

// Decider answers for one client. It is total: there is no error, and the wait is bounded. See [Policy.Decide].
type Decider interface {
	Decide(ctx context.Context, c Client) Decision
}

// DeciderFunc is a function as a Decider.
type DeciderFunc func(ctx context.Context, c Client) Decision

func (f DeciderFunc) Decide(ctx context.Context, c Client) Decision { return f(ctx, c) }

// Reason names the rule that produced a verdict.
type Reason uint8

const (
	// ReasonDefault means that no list matches the client.
	ReasonDefault Reason = iota
	// ReasonListed means that an entry of a list matches the client.
	ReasonListed
	// ReasonUnavailable means that an offer or require list is unavailable, and could have matched the client. Without a
	// list it means that this was so when the client's last session began.
	ReasonUnavailable
	// ReasonNoAddress means that no list matches the client and its address is not known, so that the default, which is
	// about addresses, does not apply.
	ReasonNoAddress
	// ReasonObserve means that the whole policy observes; Observed has what it would have done.
	ReasonObserve
	// ReasonFault means an internal error of ehlogate.
	ReasonFault
	// ReasonLimit means that no list matches the client, and the Limiter decided.
	ReasonLimit
	// ReasonPressure means that no list matches the client, and the Limiter hides STARTTLS because of CPU pressure.
	ReasonPressure
	// ReasonGuard means that STARTTLS would be hidden, but a domain served here has published a policy (MTA-STS or DANE)
	// that promises it.
	ReasonGuard
	// ReasonSubmission means that the client is connected to a submission service, which always offers STARTTLS.
	ReasonSubmission
)

var reasonNames = [...]string{
	ReasonDefault: "default", ReasonListed: "listed", ReasonUnavailable: "unavailable",
	ReasonNoAddress: "no-address", ReasonObserve: "observe", ReasonFault: "fault",
	ReasonLimit: "limit", ReasonPressure: "pressure", ReasonGuard: "guard",
	ReasonSubmission: "submission",
}

// String returns the word used in logs.
func (r Reason) String() string { return enumName(reasonNames[:], int(r)) }

func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

func (r *Reason) UnmarshalText(text []byte) error {
	i, err := parseEnum("reason", reasonNames[:], text)
	*r = Reason(i)
	return err
}

type Verdict struct {
	Action Action
	Reason Reason
	List   *List // the list that decided; nil if none did
	// Overridden means that the guard kept it from taking effect.
	Overridden bool

	entryID int32
	entryBy Describer
	addr    netip.Addr
}

// ListName returns the name of the list that decided, "" if none did.
func (v Verdict) ListName() string {
	if v.List == nil {
		return ""
	}
	return v.List.Name
}

// Entry describes the deciding entry; it is zero unless Reason is ReasonListed.
func (v Verdict) Entry() Entry {
	return Match{ID: v.entryID, By: v.entryBy}.Entry(v.addr)
}

// AppendEntryText appends Entry().Text to out.
func (v *Verdict) AppendEntryText(out []byte) []byte {
	if d, ok := v.entryBy.(TextDescriber); ok {
		return d.AppendEntryText(out, v.entryID, v.addr)
	}
	return append(out, v.Entry().Text...)
}

// Decision is the verdict that takes effect, and the verdicts that would have taken effect if their list, or the whole
// policy, did not merely observe.
type Decision struct {
	Verdict
	// Observed has the verdicts of lists that observe or are overridden, in the order of the walk, and that of the default if
	// it is overridden. If Reason is ReasonObserve, the last is what would take effect if the policy as a whole did not
	// observe. It is nil as a rule.
	Observed []Verdict
	// Hidden is what is hidden besides STARTTLS; nil if no list that matches hides keywords.
	Hidden *Hidden
	// Settings are those of the policy that decided; nil if none did.
	Settings any
}

// WithoutObserve returns the verdict that would take effect if the policy as a whole did not observe, and the verdicts
// that single lists or the guard keep from taking effect.
func (d Decision) WithoutObserve() (v Verdict, observing []Verdict) {
	if d.Reason == ReasonObserve {
		last := len(d.Observed) - 1
		return d.Observed[last], d.Observed[:last]
	}
	return d.Verdict, d.Observed
}
