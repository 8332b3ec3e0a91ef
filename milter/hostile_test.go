package milter

import (
	"testing"

	"ehlogate/lists/test/hostile"
)

// TestHostileEntry checks that the header is one line of printable ASCII, whatever the author of a feed wrote.
func TestHostileEntry(t *testing.T) {
	for _, text := range append(hostile.Texts, hostile.Readable...) {
		s := session{atEHLO: hostile.Decision("a\r\nX-Evil: " + text)}
		for _, b := range []byte(s.headerValue()) {
			if b < ' ' || b >= 0x7f {
				t.Errorf("%q: byte 0x%02x", text, b)
				break
			}
		}
	}
}
