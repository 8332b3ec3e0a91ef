package earned

import (
	"encoding/binary"
	"math"
	"math/bits"
	"time"

	"ehlogate/lists/learnstore"
)

// record is what is known of a client. Times are seconds: since 1970, or for which logs were followed.
type record struct {
	end   uint32 // of the last session that counted
	since uint32 // when the client was earned; 0: it is not
	// used is for how long logs had been followed when mail was last accepted; for a client that is not earned, at its last
	// session.
	used      uint32
	counted   uint32 // for how long logs had been followed when a day was last added to delivered
	delivered uint64 // the days with accepted mail, from that of end, in bit 0, back
	refused   uint64 // the days with rejected sessions
	all       tally  // of as many days as Options.Of
	recent    tally  // of as many days as Options.Days
}

// recordSize is that of a record in the store.
const recordSize = 4*4 + 2*8 + 4*2

const secondsOfDay = 24 * 60 * 60

// minDay is for how long logs must be followed between two days that count: less for those that a clock makes that is set
// than for a client that sends late one day and early the next.
const minDay = 6 * time.Hour

// decode reads a record of the store; false if it is none.
func decode(b []byte) (r record, ok bool) {
	if len(b) != recordSize {
		return record{}, false
	}
	for _, field := range []*uint32{&r.end, &r.since, &r.used, &r.counted} {
		*field, b = binary.BigEndian.Uint32(b), b[4:]
	}
	for _, field := range []*uint64{&r.delivered, &r.refused} {
		*field, b = binary.BigEndian.Uint64(b), b[8:]
	}
	for _, field := range []*uint16{&r.all.accepted, &r.all.rejected, &r.recent.accepted, &r.recent.rejected} {
		*field, b = binary.BigEndian.Uint16(b), b[2:]
	}
	return r, true
}

func (r *record) appendTo(b []byte) []byte {
	for _, field := range []uint32{r.end, r.since, r.used, r.counted} {
		b = binary.BigEndian.AppendUint32(b, field)
	}
	b = binary.BigEndian.AppendUint64(b, r.delivered)
	b = binary.BigEndian.AppendUint64(b, r.refused)
	for _, field := range []uint16{r.all.accepted, r.all.rejected, r.recent.accepted, r.recent.rejected} {
		b = binary.BigEndian.AppendUint16(b, field)
	}
	return b
}

// mend bounds the life of a record by the time for which logs were followed. That can be less than in a record if the store
// lost it.
func (r *record) mend(now learnstore.Moment) (changed bool) {
	limit := uint32(now.Followed / time.Second)
	changed = r.used > limit || r.counted > limit
	r.used, r.counted = min(r.used, limit), min(r.counted, limit)
	return changed
}

// moveTo makes the day of end, which is not before that of the last session, the last one. Of what was counted, each day
// that is too long ago by then takes its share with it, as if all such days had been alike.
func (r *record) moveTo(end uint32, o *Options) {
	n := end/secondsOfDay - r.end/secondsOfDay
	r.end = end
	if n == 0 {
		return
	}
	delivered, refused := r.delivered, r.refused
	r.delivered, r.refused = delivered<<n, refused<<n
	for _, of := range []struct {
		tally *tally
		days  int
	}{{&r.all, o.Of}, {&r.recent, o.Days}} {
		of.tally.accepted = scale(of.tally.accepted, countDays(r.delivered, of.days), countDays(delivered, of.days))
		of.tally.rejected = scale(of.tally.rejected, countDays(r.refused, of.days), countDays(refused, of.days))
	}
}

// count counts a session of the last day.
func (r *record) count(accepted bool, followed uint32) {
	r.all.count(accepted)
	r.recent.count(accepted)
	if !accepted {
		r.refused |= 1
	}
	if accepted && r.delivered&1 == 0 && (r.delivered == 0 || int64(followed)-int64(r.counted) >= int64(minDay/time.Second)) {
		r.delivered |= 1
		r.counted = followed
	}
	if accepted || r.since == 0 {
		r.used = followed
	}
}

// lastDelivery returns the last day with accepted mail, since 1970; false if it is too long ago to be known.
func (r *record) lastDelivery() (day int64, ok bool) {
	return int64(r.end/secondsOfDay) - int64(bits.TrailingZeros64(r.delivered)), r.delivered != 0
}

// countDays returns how many of the last days are in a set.
func countDays(set uint64, days int) int {
	if days < MaxOf {
		set &= 1<<days - 1
	}
	return bits.OnesCount64(set)
}

// tally counts the sessions of some days.
type tally struct{ accepted, rejected uint16 }

func (t *tally) count(accepted bool) {
	counter := &t.rejected
	if accepted {
		counter = &t.accepted
	}
	if *counter == math.MaxUint16 { // what matters of so many is the share
		t.accepted, t.rejected = t.accepted/2, t.rejected/2
	}
	*counter++
}

func (t tally) total() int { return int(t.accepted) + int(t.rejected) }

// scale returns the share of n that is in so many days of all.
func scale(n uint16, days, all int) uint16 {
	if all == 0 {
		return 0
	}
	return uint16(int(n) * days / all)
}
