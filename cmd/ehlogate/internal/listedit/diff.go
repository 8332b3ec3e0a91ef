package listedit

import "slices"

// maxDiff is how many lines two texts may differ in before what lies between the first and the last is one hunk.
const maxDiff = 1000

// diff returns hunks that make one text of another.
func diff(before, after []string) (hunks []Hunk) {
	first := 0
	for first < len(before) && first < len(after) && before[first] == after[first] {
		first++
	}
	same := 0 // lines at the end
	for same < len(before)-first && same < len(after)-first && before[len(before)-1-same] == after[len(after)-1-same] {
		same++
	}
	before, after = before[first:len(before)-same], after[first:len(after)-same]
	if len(before) == 0 && len(after) == 0 {
		return nil
	}
	path := findPath(before, after)
	if path == nil {
		return []Hunk{{first + 1, before, after}}
	}
	x, y := 0, 0
	for _, s := range append(path, match{len(before), len(after), 0}) {
		if s.x > x || s.y > y {
			hunks = append(hunks, Hunk{first + x + 1, before[x:s.x], after[y:s.y]})
		}
		x, y = s.x+s.n, s.y+s.n
	}
	return hunks
}

// match is n lines that two texts have in common, from x and y on.
type match struct{ x, y, n int }

// findPath returns which lines two texts have in common, by the algorithm of Myers (1986); nil if they differ in too many. It is
// not empty if it is not nil.
func findPath(a, b []string) []match {
	size := len(a) + len(b)
	reach := make([]int, 2*min(size, maxDiff)+3) // by diagonal: how far a is used up
	middle := len(reach) / 2
	var trace [][]int
	for d := 0; d <= min(size, maxDiff); d++ {
		trace = append(trace, slices.Clone(reach[middle-d:middle+d+1]))
		for k := -d; k <= d; k += 2 {
			x := reach[middle+k-1] + 1
			if k == -d || k != d && reach[middle+k-1] < reach[middle+k+1] {
				x = reach[middle+k+1]
			}
			for x < len(a) && x-k < len(b) && a[x] == b[x-k] {
				x++
			}
			if reach[middle+k] = x; x >= len(a) && x-k >= len(b) {
				return traceBack(trace, len(a), len(b))
			}
		}
	}
	return nil
}

// traceBack returns the matches on the way to the end of both texts. trace has, for each number of differences, how far each
// diagonal reached before.
func traceBack(trace [][]int, x, y int) []match {
	path := []match{}
	for d := len(trace) - 1; d >= 0; d-- {
		reach := func(k int) int {
			if at := k + d; at >= 0 && at < len(trace[d]) {
				return trace[d][at]
			}
			return 0
		}
		k := x - y
		before := k - 1
		if k == -d || k != d && reach(k-1) < reach(k+1) {
			before = k + 1
		}
		fromX := reach(before)
		if d == 0 {
			fromX = 0
		}
		fromY := fromX - before
		if d == 0 {
			fromY = 0
		}
		n := min(x-fromX, y-fromY)
		if d > 0 && before == k-1 {
			n = x - fromX - 1
		} else if d > 0 {
			n = y - fromY - 1
		}
		if n > 0 {
			path = append(path, match{x - n, y - n, n})
		}
		x, y = fromX, fromY
	}
	slices.Reverse(path)
	return path
}
