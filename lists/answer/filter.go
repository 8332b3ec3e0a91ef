// Package answer filters the answers of DNS lists (RFC 5782): addresses in 127/8, each with a meaning of its own. The zones of
// a list use it, and so do files of rbldnsd(8), which have the same answers.
package answer

import "strconv"

// Filter is which answers of a zone list a client, and how much they count. The zero Filter takes all answers in 127/8, but
// for 127.0.0.1, which is the answer of resolvers that block advertisements.
//
// No filter takes an error code (127.255.255.0/24). 127.0.0.255 is one, too, unless a filter for the zone names it.
type Filter struct {
	given bool
	score int     // which of the numbers behind 127 is a score, from 1; 0: none
	parts [3]octs // the numbers behind 127 that it takes
}

// octs is a set of numbers from 0 to 255.
type octs [256]bool

func (o *octs) addRange(from, to int) {
	for n := from; n <= to; n++ {
		o[n] = true
	}
}

// String returns the filter in the form that Parse reads; equal filters have equal forms.
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
			b = f.parts[i].appendTo(b)
		}
	}
	return string(b)
}

func (o *octs) appendTo(b []byte) []byte {
	start, members := len(b), 0
	for n := 0; n < 256; n++ {
		if !o[n] {
			continue
		}
		if members++; members > 1 {
			b = append(b, ';')
		}
		from := n
		for n < 255 && o[n+1] {
			n++
		}
		b = strconv.AppendInt(b, int64(from), 10)
		if n > from {
			members++ // a range is in brackets, also if it is the only one
			b = strconv.AppendInt(append(b, '.', '.'), int64(n), 10)
		}
	}
	if members == 1 {
		return b
	}
	return append(append(b[:start:start], '['), append(b[start:], ']')...)
}

// HasScore reports whether one of the numbers is a score.
func (f *Filter) HasScore() bool { return f.score != 0 }

// Takes255 reports whether the filter names 127.0.0.255, such as for the highest score.
func (f *Filter) Takes255() bool {
	_, ok := f.Takes(0, 0, 255)
	return f.given && ok
}

// Takes reports whether 127.a.b.c lists a client, and returns the number by which the weight is multiplied.
func (f *Filter) Takes(a, b, c byte) (times int, ok bool) {
	if a == 255 && b == 255 {
		return 0, false
	}
	if !f.given {
		return 1, a|b != 0 || c != 1
	}
	if !f.parts[0][a] || !f.parts[1][b] || !f.parts[2][c] {
		return 0, false
	}
	if f.score == 0 {
		return 1, true
	}
	return int([3]byte{a, b, c}[f.score-1]), true
}
