package learn

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"time"

	"ehlogate/lists/learnstore"
)

const (
	serviceBucket = "service"
	followedKey   = "followed" // how long logs were followed, and the time of the machine then
	stampPrefix   = "file:"
	// saveTime is how often that is written while nothing else is: the most that a crash can take off the time.
	saveTime = time.Minute
)

// serviceState is what the service itself keeps in the store.
type serviceState struct {
	loaded   bool
	followed time.Duration // as stored
	wall     time.Time     // as stored; zero: never
	stamps   map[string]string
}

// load returns the state, and reasons to open the breaker: a file changed, or the clock of the machine went back.
func (s serviceState) load(tx learnstore.Tx, now time.Time, stamps map[string]string) (serviceState, []string, error) {
	var reasons []string
	b := tx.Bucket(serviceBucket)
	if !s.loaded {
		s.loaded, s.stamps = true, map[string]string{}
		if v := b.Get([]byte(followedKey)); len(v) == 16 {
			s.followed = time.Duration(binary.BigEndian.Uint64(v))
			s.wall = time.Unix(0, int64(binary.BigEndian.Uint64(v[8:])))
			if back := s.wall.Sub(now); back > maxJump {
				reasons = append(reasons, fmt.Sprintf("the clock of the machine was set back by %v", back.Round(time.Second)))
			}
		}
		err := b.ForEach(func(k, v []byte) error {
			if len(k) > len(stampPrefix) && string(k[:len(stampPrefix)]) == stampPrefix {
				s.stamps[string(k[len(stampPrefix):])] = string(v)
			}
			return nil
		})
		if err != nil {
			return s, nil, err
		}
	}
	if stamps == nil { // not looked at yet
		return s, reasons, nil
	}
	next := maps.Clone(s.stamps)
	for _, name := range slices.Sorted(maps.Keys(stamps)) {
		old, known := s.stamps[name]
		if known && old == stamps[name] {
			continue
		}
		if known {
			reasons = append(reasons, name+" changed")
		}
		next[name] = stamps[name]
		if err := b.Put([]byte(stampPrefix+name), []byte(stamps[name])); err != nil {
			return s, nil, err
		}
	}
	for name := range s.stamps {
		if _, ok := stamps[name]; !ok {
			delete(next, name)
			if err := b.Delete([]byte(stampPrefix + name)); err != nil {
				return s, nil, err
			}
		}
	}
	s.stamps = next
	return s, reasons, nil
}

// save writes the time, if something else is written, if it is time, or if it must.
func (s *serviceState) save(tx learnstore.Tx, now learnstore.Moment, must bool) error {
	changed := must
	if c, ok := tx.(learnstore.Changer); ok {
		changed = changed || c.Changed()
	}
	if !changed && !s.wall.IsZero() && now.Wall.Sub(s.wall).Abs() < saveTime {
		return nil
	}
	s.followed, s.wall = now.Followed, now.Wall
	value := binary.BigEndian.AppendUint64(nil, uint64(now.Followed))
	return tx.Bucket(serviceBucket).Put([]byte(followedKey), binary.BigEndian.AppendUint64(value, uint64(now.Wall.UnixNano())))
}
