package dnsbl

import (
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"sync/atomic"

	"ehlogate/lists"
)

// finding is why a list holds a client: for each zone four bytes, what is known
// of it, and the answer that counted.
type finding struct {
	source *List
	said   string
}

const (
	isAbsent = iota
	isListed
	isUnknown
)

// findings are kept, since the same few come again and again; beyond a number
// of them they are made anew each time.
type findings struct {
	all atomic.Pointer[map[string]*finding]
}

const maxFindings = 512

func (fs *findings) of(s *List, parts []part) *finding {
	var few [4 * 8]byte
	b := few[:0]
	for i := range parts {
		if parts[i].state != known {
			b = append(b, isUnknown, 0, 0, 0)
		} else if _, at, ok := s.members[i].score(parts[i].said); ok {
			b = append(append(b, isListed), parts[i].said[at:at+3]...)
		} else {
			b = append(b, isAbsent, 0, 0, 0)
		}
	}
	for {
		old := fs.all.Load()
		if old != nil {
			if f := (*old)[string(b)]; f != nil {
				return f
			}
		}
		f := &finding{s, string(b)}
		more := make(map[string]*finding)
		if old != nil {
			if len(*old) >= maxFindings {
				return f
			}
			maps.Copy(more, *old)
		}
		more[f.said] = f
		if fs.all.CompareAndSwap(old, &more) {
			return f
		}
	}
}

// Entry implements lists.Describer: which zones list the client, with what, and
// what that adds up to.
func (f *finding) Entry(int32, netip.Addr) lists.Entry {
	var words []string
	score := 0
	for i, m := range f.source.members {
		state, said := f.said[4*i], f.said[4*i+1:4*i+4]
		switch state {
		case isListed:
			n, _, _ := m.score(said)
			score += n
			words = append(words, fmt.Sprintf("%s %s (weight %d)", m.zone.name, answers(said), n))
		case isUnknown:
			words = append(words, m.zone.name+" not known")
		}
	}
	words = append(words, fmt.Sprintf("score %d of %d", score, f.source.spec.Threshold))
	return lists.Entry{Text: strings.Join(words, ", ")}
}
