package answer

import (
	"fmt"
	"strconv"
	"strings"
)

// Parse reads which answers count, as in postscreen_dnsbl_sites of postconf(5): 127.0.0.2, 127.0.0.[2;4..7],
// 127.0.[0..255].[1..3]. One of the last three numbers can be N, as in 127.0.4.N: that number, 0 to 255, times the weight of the zone is
// what the zone adds to the score. An empty text is the zero Filter. An error has the position in s, in bytes from 1.
func Parse(s string) (Filter, error) {
	if s == "" {
		return Filter{}, nil
	}
	f := Filter{text: s}
	at := 0
	for i := range 4 {
		if i > 0 {
			if at >= len(s) || s[at] != '.' {
				return Filter{}, filterError(s, at, "a dot and a number (there are four)")
			}
			at++
		}
		if i > 0 && at < len(s) && s[at] == 'N' {
			if f.score != 0 {
				return Filter{}, filterError(s, at, "a number (there is an N already)")
			}
			f.score = i
			f.parts[i-1].addRange(0, 255)
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
		} else if set != (octs{127: true}) {
			return Filter{}, filterError(s, begin, "127, as in all answers of DNS lists")
		}
	}
	if at != len(s) {
		return Filter{}, filterError(s, at, "the end after four numbers")
	}
	if only255 := (octs{255: true}); f.parts[0] == only255 && f.parts[1] == only255 {
		return Filter{}, filterError(s, 0, "another answer (127.255.255.x are error codes and list no client)")
	}
	return f, nil
}

func filterError(s string, at int, want string) error {
	got := "the end"
	if at < len(s) {
		got = strconv.Quote(s[at:min(at+12, len(s))])
	}
	return fmt.Errorf("invalid answer %.60q: found %s at %d, expected %s", s, got, at+1, want)
}

// parseOcts reads a number, or [A;B..C;...], and returns the position behind it.
func parseOcts(s string, at int, set *octs) (int, error) {
	if at >= len(s) || s[at] != '[' {
		n, end, err := parseOctet(s, at)
		set.addRange(n, n)
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
		set.addRange(from, to)
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
