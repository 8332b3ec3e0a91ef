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

	by   Describer
	id   int32
	addr netip.Addr
}

// Entry describes the deciding entry; it is zero unless Reason is
// ReasonListed.
func (v Verdict) Entry() Entry {
	if v.by == nil {
		return Entry{}
	}
	return v.by.Entry(v.id, v.addr)
}

// Decision is the verdict that takes effect, and the verdicts that would have
// taken effect if their list, or the whole policy, did not merely observe.
type Decision struct {
	Verdict
	Observed []Verdict // in the order of the walk; nil as a rule
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
		case found.Status == Absent:
		case found.Status == Held:
			v := Verdict{Action: l.Action, Reason: ReasonListed, List: l, by: found.By, id: found.ID, addr: c.Addr}
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
