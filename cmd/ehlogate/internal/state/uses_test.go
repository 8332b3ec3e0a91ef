package state

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"ehlogate/lists/uselog"
)

// TestReadUses checks that days on which no daemon counted are left out, and what becomes of a file that cannot be used.
func TestReadUses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "used.json")
	now := time.Unix(0, 0).AddDate(0, 0, 1000)
	for _, tc := range []struct {
		text        string
		since, last uint16
		ok          bool
	}{
		{`{"counted":1000,"lists":{"deny":{"ff":[900,950],"zz":[1,1]}}}`, 900, 950, true},
		{`{"counted":999,"lists":{"deny":{"ff":[900,950]}}}`, 900, 950, true}, // stopped yesterday
		{`{"counted":970,"lists":{"deny":{"ff":[900,950]}}}`, 929, 979, true},
		{`{"counted":970,"lists":{"deny":{"ff":[900,0]}}}`, 929, 0, true},
		{`{"counted":1100,"lists":{"deny":{"ff":[900,950]}}}`, 900, 950, true}, // the clock was set back
		{`{"counted":9`, 0, 0, false},
	} {
		if err := os.WriteFile(path, []byte(tc.text), 0o600); err != nil {
			t.Fatal(err)
		}
		u, err := ReadUses(path, now)
		got := u.Of("deny")
		if use := got[0xff]; (err == nil) != tc.ok || use != (uselog.Use{Since: tc.since, Last: tc.last}) || tc.ok && len(got) != 1 {
			t.Errorf("%s: %+v, %v", tc.text, got, err)
		}
	}
	if u, err := ReadUses(path+".none", now); err != nil || len(u.Of("deny")) != 0 {
		t.Errorf("no file: %+v, %v", u, err)
	}
}
