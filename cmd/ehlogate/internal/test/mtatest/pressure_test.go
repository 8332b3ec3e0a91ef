package mtatest_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/test/testenv"
)

// TestPressure has the CPU pressure rise and fall: a real Postfix offers STARTTLS to clients on no list, to none of them, and
// to all again, and at all times to a known one, which delivers over TLS.
func TestPressure(t *testing.T) {
	testenv.Needs(t, "root", "Postfix")
	t.Parallel()
	const known = "127.9.0.1"
	kernel := mtatest.StartPressure(t, tempDir(t))
	g := startDaemon(t, "pressure", fmt.Sprintf("default = \"limit\"\nguard.off = true\nlimit = { cpu_pressure = \"20%%\", pressure_file = %q }\n", kernel.File), nil,
		"[[list]]\nname = \"allow\"\naction = \"offer\"\nfiles = [\"allow.list\"]\n", map[string]string{"allow.list": known + "\n"})
	dir := tempDir(t)
	p := startPostfix(t, mtatest.PostfixConfig{
		Dir:      dir,
		Services: []mtatest.Service{{Name: "mx", Procs: 2, Options: map[string]string{"smtpd_discard_ehlo_keyword_address_maps": "memcache:" + filepath.Join(mtatest.LayoutOf(dir).Config, "map.cf")}}},
		Files:    map[string]string{"map.cf": fmt.Sprintf("memcache = inet:%s\nkey_format = starttls:%%s\nmax_try = 1\ntimeout = 2\nbackup = cidr:/dev/null\n", g.memcache)},
	})
	strangers := 0
	isOffered := func() bool {
		t.Helper()
		strangers++ // each keeps its answer
		return ehlo(t, p.Addr("mx"), fmt.Sprintf("127.8.%d.%d", strangers/250, 1+strangers%250)).Offers("STARTTLS")
	}
	delivers := func() {
		t.Helper()
		playOrder(t, "a known client", p.Addr("mx"), known, "EHLO x.example|STARTTLS|EHLO x.example|deliver 250")
	}
	for _, tc := range []struct {
		percent int64
		offered bool
	}{{0, true}, {95, false}, {0, true}} {
		kernel.Percent.Store(tc.percent)
		testenv.Eventually(t, fmt.Sprintf("at %d %% an offer: %t", tc.percent, tc.offered), func() bool { return isOffered() == tc.offered })
		delivers()
	}
	if n := strings.Fields(strings.Join(g.metrics(t, "ehlogate_limit_refused_total.*"), "")); len(n) != 2 || n[1] == "0" {
		t.Errorf("counted %v", n)
	}
}
