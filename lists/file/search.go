package file

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
