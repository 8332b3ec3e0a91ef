package listedit

import (
	"strings"
	"testing"
)

// TestNoOtherLine checks that no argument writes a second line, and that a plan which would is refused.
func TestNoOtherLine(t *testing.T) {
	e, file, _ := newEditor(t, "198.51.100.1\n")
	for _, bad := range []string{"2027-01-01\n10.0.0.0/16", "2027-01-01\n", "2027-01-01\r", "2027-01-01 # x", "2027-01-01\t", "\u00a02027-01-01"} {
		if attribute, err := e.Expiry("", bad); err == nil {
			t.Errorf("--until %q became %q", bad, attribute)
		}
	}
	for _, bad := range []string{"192.0.2.7\n10.0.0.0/16", "192.0.2.7\v", "192.0.2.7#", "192.0.2.7\u0085", "192.0.2.7\x00"} {
		if _, err := ParseEntry(bad); err == nil {
			t.Errorf("%q is an entry", bad)
		}
	}
	if _, err := e.PlanAdd("deny", "192.0.2.7", "until=2099-01-01\n10.0.0.0/16", ""); err == nil || !strings.Contains(err.Error(), "is not one line") {
		t.Errorf("two lines: %v", err)
	}
	if got := read(t, file); got != "198.51.100.1\n" {
		t.Errorf("the list is %q", got)
	}
}

// TestLastEntry checks that the last entry of a list can be cut, although an empty file is an error, and comes back.
func TestLastEntry(t *testing.T) {
	for _, old := range []string{"198.51.100.1\n", byteOrderMark + "198.51.100.1\r\n", "198.51.100.1\n198.51.100.1\n"} {
		e, file, _ := newEditor(t, old)
		p, err := e.PlanRemove("deny", "198.51.100.1", "")
		must(t, err)
		_, err = p.Write()
		must(t, err)
		if got := strings.TrimPrefix(read(t, file), byteOrderMark); strings.TrimSuffix(strings.TrimSuffix(got, "\n"), "\r") != "# no entries" {
			t.Errorf("%q became %q", old, got)
		}
		p, err = e.PlanUndo(0, "")
		must(t, err)
		_, err = p.Write()
		must(t, err)
		if got := read(t, file); got != old {
			t.Errorf("%q came back as %q", old, got)
		}
	}
}
