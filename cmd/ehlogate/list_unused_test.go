package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ehlogate/cmd/ehlogate/internal/state"
)

// TestListUnused checks that the daemon counts on which day entries match a session, also across a restart, and that show
// --unused has the others.
func TestListUnused(t *testing.T) {
	used := filepath.Join(t.TempDir(), "used.json")
	conf := fmt.Sprintf("edits = { used = %q, journal = \"\" }\n%s", used, denyList)
	deny := map[string]string{"deny.list": "192.0.2.1\n192.0.2.2\n!192.0.2.2\n198.51.100.0/24 # old\n"}
	var dir string
	for range 2 {
		d := startDaemon(t, conf, deny)
		if dir = d.dir; !d.suppressed("192.0.2.1") || d.suppressed("192.0.2.2") {
			t.Fatal("192.0.2.1 is not suppressed, or 192.0.2.2 is")
		}
		d.getHTTP("/api/v1/decision?addr=198.51.100.1") // is no session
		d.stop()
		<-d.done
	}
	show := func(args ...string) (out string) {
		var stdout, stderr strings.Builder
		code := run(t.Context(), append([]string{"list", "-c", filepath.Join(dir, "c.toml"), "show", "--unused"}, args...), &stdout, &stderr)
		return fmt.Sprintf("%d %s%s", code, strings.ReplaceAll(stdout.String(), dir, ""), stderr.String())
	}
	if got, want := show(), "0 entries have been counted for 0 days, and are shown once they were not used for 90: --days sets another number\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := show("-n"); !strings.HasPrefix(got, "2 ") {
		t.Errorf("an unknown flag: %s", got)
	}

	// A hundred days later.
	text, err := os.ReadFile(used)
	if err != nil {
		t.Fatal(err)
	}
	var u state.Uses
	if err := json.Unmarshal(text, &u); err != nil || len(u.Lists["deny"]) != 4 {
		t.Fatalf("%s, %v", text, err)
	}
	matched := 0
	for key, e := range u.Lists["deny"] {
		if e[0] -= 100; e[1] != 0 {
			matched++
			e[1] -= 95
		}
		u.Lists["deny"][key] = e
	}
	if matched != 2 {
		t.Errorf("%d entries matched a session, want 192.0.2.1 and the exception: %s", matched, text)
	}
	// The file is cut.
	if err := os.WriteFile(used, []byte(`{"cou`), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := show(); !strings.Contains(got, "used.json: cut or damaged (unexpected end of JSON input): the daemon writes it anew") {
		t.Errorf("got %q", got)
	}

	text, err = json.Marshal(u)
	if err == nil {
		err = os.WriteFile(used, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ args, want string }{
		{"", "0 /deny.list:1: 192.0.2.1  last match 95 days ago\n/deny.list:2: 192.0.2.2  no match in 100 days\n/deny.list:3: !192.0.2.2  last match 95 days ago\n/deny.list:4: 198.51.100.0/24  no match in 100 days  # old\n"},
		{"deny --days 96", "0 /deny.list:2: 192.0.2.2  no match in 100 days\n/deny.list:4: 198.51.100.0/24  no match in 100 days  # old\n"},
		{"--days 101", "0 entries have been counted for 100 days, and are shown once they were not used for 101: --days sets another number\n"},
		{"none", "1 ehlogate: no list \"none\" in the config, only deny\n"},
	} {
		if got := show(strings.Fields(tc.args)...); got != tc.want {
			t.Errorf("%s: got\n%s\nwant\n%s", tc.args, got, tc.want)
		}
	}
	if got := show("--days", "96", "--json"); !strings.Contains(got, `"unused_days": 100,`) || !strings.Contains(got, `"never_matched": true`) {
		t.Errorf("%s", got)
	}
	if err := os.Remove(used); err != nil {
		t.Fatal(err)
	}
	if got := show(); !strings.Contains(got, "no such file or directory: the daemon writes it ten minutes after it started") {
		t.Errorf("%s", got)
	}
}
