package fallback

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/learnstore"
)

// success is when a client, or one of a network or domain, last completed TLS: with any version, and with TLS 1.2 or later.
type success struct{ any, modern time.Duration }

// byFamily are two buckets for hosts or networks, each with the limit: an attacker who has many networks of IPv6 pushes out no
// record of IPv4.
type byFamily struct{ v4, v6 *agedBucket }

func newByFamily(name string, limit int) byFamily {
	v4 := &agedBucket{name: name, limit: limit}
	return byFamily{v4, &agedBucket{name: name + "-6", limit: limit, former: v4}}
}

// of returns the bucket for an address.
func (b byFamily) of(addr netip.Addr) *agedBucket {
	if addr.Is4() {
		return b.v4
	}
	return b.v6
}

func (b byFamily) count(tx learnstore.Tx) int {
	return b.v4.records(tx).Count() + b.v6.records(tx).Count()
}

// hourUp returns the next full hour after d: the record of a client changes at most once an hour.
func hourUp(d time.Duration) time.Duration { return d.Truncate(time.Hour) + time.Hour }

// findSuccess returns false if there is no record.
func findSuccess(tx learnstore.Tx, b *agedBucket, key []byte) (success, bool) {
	record, stamp := b.find(tx, key)
	if len(record) != 1+stampLength || record[0] != recordVersion {
		return success{}, false
	}
	return success{stamp, time.Duration(binary.BigEndian.Uint32(record[1:])) * time.Minute}, true
}

// noteSuccess reports whether the record changed.
func noteSuccess(tx learnstore.Tx, b *agedBucket, key []byte, now learnstore.Moment, modern bool) (changed bool, err error) {
	s, _ := findSuccess(tx, b, key)
	s.any = hourUp(now.Followed)
	if modern {
		s.modern = s.any
	}
	record := binary.BigEndian.AppendUint32([]byte{recordVersion}, uint32(s.modern/time.Minute))
	return b.store(tx, s.any, key, record)
}

// lasts returns for how long a success protects from an action, at most life; 0: not at all. Old TLS is what a legacy list is
// for, so success with it does not protect from that. A record from the future protects for all of life.
func (s success) lasts(now learnstore.Moment, action lists.Action, life time.Duration) time.Duration {
	at := s.any
	if action == lists.Legacy {
		if at = s.modern; at == 0 {
			return 0
		}
	}
	return min(max(0, at+life-now.Followed), life)
}

// makeImmune makes a client immune, and its neighbors. Entries of neighbors end: they were made when none was known to do TLS.
func (l *Learner) makeImmune(tx learnstore.Tx, now learnstore.Moment, c lists.Client, modern bool) error {
	if !c.Addr.IsValid() {
		return nil
	}
	_, errHost := noteSuccess(tx, l.immune.of(c.Addr), hostKey(c.Addr), now, modern)
	newNetwork, errNetwork := noteSuccess(tx, l.networks.of(c.Addr), nearKey(c.Addr), now, modern)
	var newDomain bool
	var errDomain error
	domain := domainOf(c.Name)
	if domain != "" {
		newDomain, errDomain = noteSuccess(tx, l.domains, []byte(domain), now, modern)
	}
	if err := errors.Join(errHost, errNetwork, errDomain); err != nil || !newNetwork && !newDomain {
		return err
	}
	for _, e := range l.sortedEntries() {
		isNear := string(nearKey(e.addr)) == string(nearKey(c.Addr)) || domain != "" && domainOf(e.name) == domain
		if e.addr == c.Addr || !isNear || e.action == lists.Legacy && !modern {
			continue
		}
		if err := l.dropEntry(tx, e, EventWithdrawn, false, c.Addr.String()+", a neighbor of this client, completed TLS"); err != nil {
			return err
		}
	}
	return nil
}

// findImmunity returns what makes a client immune to an action, and for how long; empty if nothing does.
func (l *Learner) findImmunity(tx learnstore.Tx, now learnstore.Moment, c lists.Client, action lists.Action) (why string, lasts time.Duration) {
	domain := domainOf(c.Name)
	for _, place := range []struct {
		bucket *agedBucket
		key    []byte
		life   time.Duration
		why    string
	}{
		{l.immune.of(c.Addr), hostKey(c.Addr), l.options.Immunity, "it completed TLS, or a TLS report says that it relies on it"},
		{l.networks.of(c.Addr), nearKey(c.Addr), l.options.Neighbors, "a client of " + nearNetwork(c.Addr) + " completed TLS"},
		{l.domains, []byte(domain), l.options.Neighbors, "a client of the domain " + domain + " completed TLS"},
	} {
		if len(place.key) == 0 {
			continue
		}
		if s, ok := findSuccess(tx, place.bucket, place.key); ok {
			if lasts := s.lasts(now, action, place.life); lasts > 0 {
				return place.why, lasts
			}
		}
	}
	return "", 0
}

func nearNetwork(addr netip.Addr) string {
	bits := 48
	if addr.Is4() {
		bits = 24
	}
	network, _ := addr.Prefix(bits)
	return network.String()
}
