package maillog

// MaxSessionLine bounds the line that a [Session] has, in bytes. Of a longer one, the beginning and the end are kept: what a
// client makes long, its name or HELO, stands in front of the reason or behind it.
const MaxSessionLine = 400

const (
	lineCut  = "[...]" // stands for what is left out
	lineTail = 200     // the client of Exim, with IPv6, and the reason behind it
	lineHead = MaxSessionLine - len(lineCut) - lineTail
)

// keepLine returns a line in the memory of kept, which it replaces.
func keepLine(kept, line []byte) []byte {
	if len(line) <= MaxSessionLine {
		return append(kept[:0], line...)
	}
	return append(append(append(kept[:0], line[:lineHead]...), lineCut...), line[len(line)-lineTail:]...)
}
