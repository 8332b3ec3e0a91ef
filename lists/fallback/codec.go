package fallback

import (
	"encoding/binary"
	"time"

	"ehlogate/lists/learnstore"
	"ehlogate/lists/maillog"
)

// A record in the store begins with its version. A record of another version, or that is not whole, is treated as absent.
const (
	recordVersion = 1
	// lineVersion is of records with proofs, which have a line of the log each since then. Those of recordVersion are read, too.
	lineVersion = 2
)

const (
	maxText     = 255             // of a text in a record
	maxFollowed = 200 * 8766      // hours
	maxUnix     = int64(1) << 36  // seconds, in the year 4147
	timeGrace   = 5 * time.Minute // by which the clock of a log may be ahead
)

// encoder is a record that is being written.
type encoder []byte

func newEncoder(version byte) encoder { return encoder{version} }

func (e *encoder) putInt(i int64) { *e = binary.AppendVarint(*e, i) }

func (e *encoder) putText(s string) {
	s = s[:min(len(s), maxText)]
	*e = append(append(*e, byte(len(s))), s...)
}

func (e *encoder) putFollowed(d time.Duration) { e.putInt(d.Milliseconds()) }

func (e *encoder) putTime(t time.Time) {
	if t.IsZero() {
		e.putInt(0)
		return
	}
	e.putInt(t.Unix())
}

func (e *encoder) putMoment(m learnstore.Moment) {
	e.putTime(m.Wall)
	e.putFollowed(m.Followed)
}

// putLine is putText for a line of a log, which may be longer.
func (e *encoder) putLine(s string) {
	s = s[:min(len(s), maillog.MaxSessionLine)]
	e.putInt(int64(len(s)))
	*e = append(*e, s...)
}

// decoder reads a record. After an error all that it returns is zero.
type decoder struct {
	version byte
	rest    []byte
	bad     bool
}

// newDecoder reads a record of a version up to newest.
func newDecoder(record []byte, newest byte) *decoder {
	if len(record) == 0 || record[0] < recordVersion || record[0] > newest {
		return &decoder{bad: true}
	}
	return &decoder{version: record[0], rest: record[1:]}
}

// isWhole reports whether the record was read to its end without an error.
func (d *decoder) isWhole() bool { return !d.bad && len(d.rest) == 0 }

// takeInt returns the next number, which is from low to high.
func (d *decoder) takeInt(low, high int64) int64 {
	i, n := binary.Varint(d.rest)
	if d.bad || n <= 0 || i < low || i > high {
		d.bad = true
		return 0
	}
	d.rest = d.rest[n:]
	return i
}

func (d *decoder) takeCount(high int) int { return int(d.takeInt(0, int64(high))) }

func (d *decoder) takeBool() bool { return d.takeInt(0, 1) == 1 }

func (d *decoder) takeText() string {
	if d.bad || len(d.rest) == 0 || len(d.rest) <= int(d.rest[0]) {
		d.bad = true
		return ""
	}
	n := 1 + int(d.rest[0])
	s := string(d.rest[1:n])
	d.rest = d.rest[n:]
	return s
}

// takeLine returns the next line of a log; empty from a record without lines.
func (d *decoder) takeLine() string {
	if d.version < lineVersion {
		return ""
	}
	n := d.takeCount(maillog.MaxSessionLine)
	if n > len(d.rest) {
		d.bad = true
		return ""
	}
	s := string(d.rest[:n])
	d.rest = d.rest[n:]
	return s
}

func (d *decoder) takeFollowed() time.Duration {
	return time.Duration(d.takeInt(0, int64(maxFollowed*time.Hour/time.Millisecond))) * time.Millisecond
}

func (d *decoder) takeTime() time.Time {
	if s := d.takeInt(0, maxUnix); s != 0 {
		return time.Unix(s, 0).UTC()
	}
	return time.Time{}
}

func (d *decoder) takeMoment() learnstore.Moment {
	return learnstore.Moment{Wall: d.takeTime(), Followed: d.takeFollowed()}
}

// classByName has the classes of failures. Records have names, since numbers change between versions of this program.
var classByName = func() map[string]maillog.Class {
	byName := map[string]maillog.Class{"": maillog.ClassNone}
	for _, c := range maillog.FailureClasses() {
		byName[c.String()] = c
	}
	return byName
}()

func (d *decoder) takeClass() maillog.Class {
	c, ok := classByName[d.takeText()]
	d.bad = d.bad || !ok
	return c
}

func boolInt(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
