package listfile

type word interface{ uint16 | uint64 }

// upTo says how many of the sorted words are at most most.
//
// The branches are meant: where they are predicted wrongly the processor has
// begun to load what it needs next, or what the next question needs. Arithmetic
// in their place takes twice as long, since each load then waits for the one
// before it.
func upTo[W word](words []W, most W) int {
	return between(words, most, -1, len(words))
}

// upToNear is upTo if that is about guess, which is below len(words). It looks
// near there first, ever farther away, and then between.
func upToNear[W word](words []W, most W, guess int) int {
	lo, hi := -1, len(words)
	if words[guess] <= most {
		lo = guess
		for step := 1; lo+step < hi; step *= 2 {
			if words[lo+step] > most {
				hi = lo + step
				break
			}
			lo += step
		}
	} else {
		hi = guess
		for step := 1; hi-step > lo; step *= 2 {
			if words[hi-step] <= most {
				lo = hi - step
				break
			}
			hi -= step
		}
	}
	return between(words, most, lo, hi)
}

// between: words[lo] is at most most, and words[hi] above.
func between[W word](words []W, most W, lo, hi int) int {
	for hi-lo > 1 {
		if mid := int(uint(lo+hi) >> 1); words[mid] <= most {
			lo = mid
		} else {
			hi = mid
		}
	}
	return hi
}

// tree finds its way in many sorted words of which it is not known how they
// spread: above them stands every 16th, above those every 16th of them, and so
// on. What is far above is in a cache always, and each level below costs the
// two lines that hold the words between two of the level above.
type tree struct {
	words  []uint64
	levels [][]uint64 // above them, the lowest first
}

const fan = 16

func newTree(words []uint64) tree {
	t := tree{words: words}
	for level := words; len(level) > fan; {
		up := make([]uint64, 0, (len(level)+fan-1)/fan)
		for i := 0; i < len(level); i += fan {
			up = append(up, level[i])
		}
		t.levels = append(t.levels, up)
		level = up
	}
	return t
}

// upTo says how many of the words are at most most.
func (t *tree) upTo(most uint64) int {
	at := 0 // in the level below
	for i := len(t.levels) - 1; i >= 0; i-- {
		level := t.levels[i]
		n := at + upTo(level[at:min(at+fan, len(level))], most)
		if n == 0 {
			return 0
		}
		at = (n - 1) * fan
	}
	return at + upTo(t.words[at:min(at+fan, len(t.words))], most)
}
