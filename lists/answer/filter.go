// Package answer filters the answers of DNS lists (RFC 5782): addresses in 127/8, each with a meaning of its own. The zones of
// a list use it, and so do files of rbldnsd(8), which have the same answers.
package answer

// Filter is which answers of a zone list a client, and how much they count. The zero Filter takes all answers in 127/8, but
// for 127.0.0.1, which is the answer of resolvers that block advertisements.
//
// No filter takes an error code (127.255.255.0/24). 127.0.0.255 is one, too, unless a filter for the zone names it.
type Filter struct {
	text  string  // that it was read from; "": the zero Filter
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

// String returns the text that Parse read.
func (f Filter) String() string { return f.text }

// HasScore reports whether one of the numbers is a score.
func (f *Filter) HasScore() bool { return f.score != 0 }

// Takes255 reports whether the filter names 127.0.0.255, such as for the highest score.
func (f *Filter) Takes255() bool {
	_, ok := f.Takes(0, 0, 255)
	return f.text != "" && ok
}

// Takes reports whether 127.a.b.c lists a client, and returns the number by which the weight is multiplied.
func (f *Filter) Takes(a, b, c byte) (times int, ok bool) {
	if a == 255 && b == 255 {
		return 0, false
	}
	if f.text == "" {
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
