package delegation

import (
	"testing"

	"ehlogate/lists/test/hostile"
)

// TestHostileEntry checks that an action is one line of printable ASCII, whatever the author of a feed wrote.
func TestHostileEntry(t *testing.T) {
	for _, text := range append(hostile.Texts, hostile.Readable...) {
		d := hostile.Decision("a\n\naction=OK" + text)
		for _, b := range expandAction(nil, DefaultActions().Suppressed, &d) {
			if b < ' ' || b >= 0x7f {
				t.Errorf("%q: byte 0x%02x", text, b)
				break
			}
		}
	}
	d := hostile.Decision("192.0.2.0/24")
	if got, want := string(expandAction(nil, DefaultActions().Suppressed, &d)), "INFO starttls=suppress list=feed entry=192.0.2.0/24"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
