package dnsbl

import (
	"fmt"
	"strconv"
	"strings"
)

// Filter says which answers of a zone list a client, and how much they count.
// The zero Filter takes every answer in 127/8, but for 127.0.0.1, which is what
// resolvers that block advertisements say of any name.
//
// No filter ever takes an error code (127.255.255.0/24). 127.0.0.255 is one, too,
// unless a filter for the zone was written so that it takes it.
type Filter struct {
	given bool
	score int     // which of the numbers behind 127 is a score, from 1; 0: none
	parts [3]octs // the numbers behind 127 that it takes
}

// octs is a set of numbers from 0 to 255.
type octs [4]uint64

func (o *octs) add(n int)        { o[n>>6] |= 1 << (n & 63) }
func (o *octs) has(n byte) bool  { return o[n>>6]>>(n&63)&1 != 0 }
func (o *octs) only(n byte) bool { var p octs; p.add(int(n)); return *o == p }
func (o *octs) fill(from, to int) {
	for n := from; n <= to; n++ {
		o.add(n)
	}
}

// ParseFilter reads which answers count, as in postscreen_dnsbl_sites of
// postconf(5): 127.0.0.2, 127.0.0.[2;4..7], 127.0.[0..255].[1..3]. One of the
// last three numbers may be N, as in 127.0.4.N: that number, 0 to 255, times
// Zone.Weight is what the zone adds to the score. An empty text is the zero
// Filter. Errors say where s is wrong, by the number of the byte from 1.
func ParseFilter(s string) (Filter, error) {
	if s == "" {
		return Filter{}, nil
	}
	f := Filter{given: true}
	at := 0
	for i := range 4 {
		if i > 0 {
			if at >= len(s) || s[at] != '.' {
				return Filter{}, filterError(s, at, "a dot and the next of four numbers")
			}
			at++
		}
		if i > 0 && at < len(s) && s[at] == 'N' {
			if f.score != 0 {
				return Filter{}, filterError(s, at, "a number: there is an N already")
			}
			f.score = i
			f.parts[i-1].fill(0, 255)
			at++
			continue
		}
		begin := at
		var set octs
		var err error
		if at, err = parseOcts(s, at, &set); err != nil {
			return Filter{}, err
		}
		if i > 0 {
			f.parts[i-1] = set
		} else if !set.only(127) {
			return Filter{}, filterError(s, begin, "127: lists answer with nothing else")
		}
	}
	if at != len(s) {
		return Filter{}, filterError(s, at, "nothing behind the fourth number")
	}
	if f.parts[0].only(255) && f.parts[1].only(255) {
		return Filter{}, filterError(s, 0, "another answer: 127.255.255.x are error codes and list nobody")
	}
	return f, nil
}

func filterError(s string, at int, want string) error {
	got := "the end"
	if at < len(s) {
		got = strconv.Quote(s[at:min(at+12, len(s))])
	}
	return fmt.Errorf("answer %.60q, at %d: %s where there should be %s", s, at+1, got, want)
}

// parseOcts reads a number, or [A;B..C;...], and gives where it ends.
func parseOcts(s string, at int, set *octs) (int, error) {
	if at >= len(s) || s[at] != '[' {
		n, end, err := parseOctet(s, at)
		set.fill(n, n)
		return end, err
	}
	for {
		from, end, err := parseOctet(s, at+1)
		if err != nil {
			return 0, err
		}
		to, second := from, end
		if strings.HasPrefix(s[end:], "..") {
			second = end + 2
			if to, end, err = parseOctet(s, second); err != nil {
				return 0, err
			}
		}
		if to < from {
			return 0, filterError(s, second, fmt.Sprintf("a number of %d or more", from))
		}
		set.fill(from, to)
		if at = end; at < len(s) && s[at] == ']' {
			return at + 1, nil
		}
		if at >= len(s) || s[at] != ';' {
			return 0, filterError(s, at, "; or .. or ]")
		}
	}
}

func parseOctet(s string, at int) (n, end int, err error) {
	for end = at; end < len(s) && s[end]-'0' < 10 && end < at+4; end++ {
		n = n*10 + int(s[end]-'0')
	}
	if end == at || n > 255 || end-at > 1 && s[at] == '0' {
		return 0, 0, filterError(s, at, "a number from 0 to 255")
	}
	return n, end, nil
}

// String gives the filter in the form that ParseFilter reads; equal filters
// have equal forms.
func (f Filter) String() string {
	if !f.given {
		return ""
	}
	b := []byte("127")
	for i := range f.parts {
		b = append(b, '.')
		if f.score == i+1 {
			b = append(b, 'N')
		} else {
			b = f.parts[i].append(b)
		}
	}
	return string(b)
}

func (o *octs) append(b []byte) []byte {
	start, members := len(b), 0
	for n := 0; n < 256; n++ {
		if !o.has(byte(n)) {
			continue
		}
		if members++; members > 1 {
			b = append(b, ';')
		}
		from := n
		for n < 255 && o.has(byte(n+1)) {
			n++
		}
		b = strconv.AppendInt(b, int64(from), 10)
		if n > from {
			members++ // a span is in brackets, also if it is the only one
			b = strconv.AppendInt(append(b, '.', '.'), int64(n), 10)
		}
	}
	if members == 1 {
		return b
	}
	return append(append(b[:start:start], '['), append(b[start:], ']')...)
}

// lists255: whoever wrote the filter means clients by 127.0.0.255, too, such as
// those of the highest score.
func (f *Filter) lists255() bool {
	_, ok := f.takes(0, 0, 255)
	return f.given && ok
}

// takes says whether 127.a.b.c lists a client, and the number by which the
// weight is multiplied.
func (f *Filter) takes(a, b, c byte) (times int, ok bool) {
	if a == 255 && b == 255 {
		return 0, false
	}
	if !f.given {
		return 1, a|b != 0 || c != 1
	}
	if !f.parts[0].has(a) || !f.parts[1].has(b) || !f.parts[2].has(c) {
		return 0, false
	}
	if f.score == 0 {
		return 1, true
	}
	return int([3]byte{a, b, c}[f.score-1]), true
}
