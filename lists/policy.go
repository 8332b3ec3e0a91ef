package lists

import (
	"context"
	"net/netip"
)

// Verdict is an action and why.
type Verdict struct {
	Action Action
	Reason Reason
	List   *List // the list that decided; nil if none did

	found Found
	addr  netip.Addr
}

// ListName is the name of the list that decided, "" if none did.
func (v Verdict) ListName() string {
	if v.List == nil {
		return ""
	}
	return v.List.Name
}

// Entry describes the deciding entry; it is zero unless Reason is
// ReasonListed.
func (v Verdict) Entry() Entry {
	return v.found.Entry(v.addr)
}

// Decision is the verdict that takes effect, and the verdicts that would have
// taken effect if their list, or the whole policy, did not merely observe.
type Decision struct {
	Verdict
	// Observed are those of observing lists, in the order of the walk. If Reason
	// is ReasonObserve, the last is what would take effect if the policy as a
	// whole did not observe. Nil as a rule.
	Observed []Verdict
}

// Would is the verdict that would take effect if nothing observed as a whole,
// and those of the lists that observe for themselves.
func (d Decision) Would() (v Verdict, observing []Verdict) {
	if d.Reason == ReasonObserve {
		last := len(d.Observed) - 1
		return d.Observed[last], d.Observed[:last]
	}
	return d.Verdict, d.Observed
}

// Policy is an ordered set of lists and what is done for everybody else. It
// is not changed after its first Decide; a new one replaces it.
type Policy struct {
	Lists   []*List
	Default Action // Offer or Suppress
	Mode    Mode
}

// Decide answers for one client. It is total: there is no error, and whatever
// is not known ends with Offer. ctx bounds how long sources may wait; nothing
// waits if it is done.
//
// The first enforcing list that holds c decides. An observing list that holds
// c is noted and the walk goes on. An unloaded offer or require list ends the
// walk with Offer, since it might have held c; an unloaded suppress list is
// skipped, since the worst it can miss is a handshake; so is an unloaded
// observing list, which could have changed nothing.
func (p *Policy) Decide(ctx context.Context, c Client) Decision {
	var d Decision
	d.Verdict = p.walk(ctx, c, &d.Observed)
	if p.Mode == Observe && d.Action != Offer {
		d.Observed = append(d.Observed, d.Verdict)
		d.Verdict = Verdict{Action: Offer, Reason: ReasonObserve}
	}
	return d
}

func (p *Policy) walk(ctx context.Context, c Client, observed *[]Verdict) Verdict {
	for _, l := range p.Lists {
		found := l.Source.Lookup(ctx, c)
		switch {
		case found.Status == Absent, found.Status == Excepted:
		case found.Status == Held:
			v := Verdict{Action: l.Action, Reason: ReasonListed, List: l, found: found, addr: c.Addr}
			if l.Mode == Enforce {
				return v
			}
			*observed = append(*observed, v)
		case l.Action != Suppress && l.Mode == Enforce:
			return Verdict{Action: Offer, Reason: ReasonUnloaded, List: l}
		}
	}
	if p.Default != Offer && !c.Addr.IsValid() {
		return Verdict{Action: Offer, Reason: ReasonNoAddress}
	}
	return Verdict{Action: p.Default, Reason: ReasonDefault}
}
