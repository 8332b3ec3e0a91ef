package lists

import (
	"net/netip"
	"testing"
)

// texted is a Describer that writes texts by itself.
type texted struct{ fixed }

func (texted) AppendEntryText(out []byte, id int32, _ netip.Addr) []byte {
	return append(out, "by itself"...)
}

func TestAppendEntryText(t *testing.T) {
	for want, v := range map[string]Verdict{"x": {}, "xentry": {entryBy: fixed(Matched)}, "xby itself": {entryBy: texted{}}} {
		if got := v.AppendEntryText([]byte("x")); string(got) != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
