package iptable

// countUpTo returns how many of the sorted words are at most limit.
//
// The branches are deliberate: on a wrong prediction the processor has already begun to load what this lookup needs
// next. Branch-free code takes twice as long, since each load waits for the one before it.
func countUpTo[W uint16 | uint64](words []W, limit W) int {
	return bisect(words, limit, -1, len(words))
}

// countUpToNear is countUpTo for a result near guess, which is below len(words). It is a galloping search: it looks ever
// farther away from guess, and then bisects.
func countUpToNear[W uint16 | uint64](words []W, limit W, guess int) int {
	lo, hi := -1, len(words)
	if words[guess] <= limit {
		lo = guess
		for step := 1; lo+step < hi; step *= 2 {
			if words[lo+step] > limit {
				hi = lo + step
				break
			}
			lo += step
		}
	} else {
		hi = guess
		for step := 1; hi-step > lo; step *= 2 {
			if words[hi-step] <= limit {
				lo = hi - step
				break
			}
			hi -= step
		}
	}
	return bisect(words, limit, lo, hi)
}

// bisect is countUpTo where words[lo] is at most limit, and words[hi] above.
func bisect[W uint16 | uint64](words []W, limit W, lo, hi int) int {
	for hi-lo > 1 {
		if mid := int(uint(lo+hi) >> 1); words[mid] <= limit {
			lo = mid
		} else {
			hi = mid
		}
	}
	return hi
}

// searchTree is a static B-tree over many sorted words of unknown distribution: above them is every 16th, above those
// every 16th of them, and so on. The upper levels stay in the processor's cache, and each level below costs the two
// cache lines with the words between two of the level above.
type searchTree struct {
	words  []uint64
	levels [][]uint64 // above them, the lowest first
}

const fanout = 16

func newSearchTree(words []uint64) searchTree {
	t := searchTree{words: words}
	for level := words; len(level) > fanout; {
		up := make([]uint64, 0, (len(level)+fanout-1)/fanout)
		for i := 0; i < len(level); i += fanout {
			up = append(up, level[i])
		}
		t.levels = append(t.levels, up)
		level = up
	}
	return t
}

// countUpTo returns how many of the words are at most limit.
func (t *searchTree) countUpTo(limit uint64) int {
	at := 0 // in the level below
	for i := len(t.levels) - 1; i >= 0; i-- {
		level := t.levels[i]
		n := at + countUpTo(level[at:min(at+fanout, len(level))], limit)
		if n == 0 {
			return 0
		}
		at = (n - 1) * fanout
	}
	return at + countUpTo(t.words[at:min(at+fanout, len(t.words))], limit)
}
