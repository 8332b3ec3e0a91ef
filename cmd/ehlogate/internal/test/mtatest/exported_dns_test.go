package mtatest_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ehlogate/lists/test/testenv"
)

// TestExportedWithoutDNS asks Postfix about special-purpose and other addresses, by the daemon while its resolver does
// not answer, and by the table that export --without-dns writes: both say the same of each.
func TestExportedWithoutDNS(t *testing.T) {
	testenv.Needs(t, "Postfix")
	t.Parallel()
	g := startDaemon(t, "daemon", "default = \"suppress\"\nguard.off = true\ndns = { resolvers = [\"127.0.0.1:1\"], verify_names = true }\n", nil,
		"[[list]]\nname = \"deny\"\naction = \"suppress\"\nfiles = [\"deny.list\"]\n"+
			"[[list]]\nname = \"zone\"\naction = \"offer\"\nzones = [{zone = \"list.example\"}]\n"+
			"[[list]]\nname = \"names\"\naction = \"offer\"\nfiles = [\"allow.list\"]\n",
		map[string]string{"deny.list": "8.8.4.0/24\n2a00:5::/32\n", "allow.list": ".example.net\n10.1.0.0/16\n"})
	x := exported{binary: g.Path, dir: g.dir, config: filepath.Join(g.dir, "ehlogate.toml")}
	table := filepath.Join(g.dir, "table.cidr")
	x.runExport(t, "export", "--format", "postfix-cidr", "--without-dns", "--without-names", "-o", table)
	for name, text := range map[string]string{"main.cf": "compatibility_level = 3.6\n", "memcache.cf": memcacheCF("inet:"+g.memcache, "starttls:%s", 1, "cidr:"+filepath.Join(g.dir, "none.cidr")), "none.cidr": "# nothing\n"} {
		g.write(t, name, text)
	}
	clients := strings.Fields(`0.0.0.0 0.0.0.1 0.255.255.255 1.0.0.0 8.8.4.4 8.8.8.8 10.0.0.1 10.1.2.3 100.64.0.1 100.128.0.1 127.0.0.1 169.254.7.7
		172.16.0.1 172.32.0.1 192.0.0.9 192.0.2.1 192.0.3.1 192.88.99.1 192.168.1.1 198.18.0.1 198.51.100.1 203.0.113.1 223.255.255.255 224.0.0.1
		239.255.255.255 240.0.0.1 255.255.255.254 255.255.255.255 :: ::1 ::2 64:ff9b::808:808 100::1 1fff:ffff::1 2000::1 2001::1 2001:1ff::1 2001:200::1
		2001:db8::1 2001:db9::1 2002:808:808::1 2a00:4::1 2a00:5::1 3fff::1 3fff:1000::1 4000::1 5f00::1 fc00::1 fe80::1 febf::1 fec0::1 ff02::1
		ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff`)
	ask := func(table string) map[string]string {
		t.Helper()
		cmd := exec.CommandContext(soon(t), "/usr/sbin/postmap", "-c", g.dir, "-q", "-", table)
		cmd.Stdin = strings.NewReader(strings.Join(clients, "\n") + "\n")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil || stderr.Len() > 0 {
			t.Fatalf("postmap %s: %v\n%s", table, err, &stderr)
		}
		said := make(map[string]string)
		for line := range strings.Lines(string(out)) {
			key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
			said[key] = value
		}
		return said
	}
	exported := ask("cidr:" + table)
	suppressed := 0
	for _, by := range []string{"memcache:" + filepath.Join(g.dir, "memcache.cf"), "socketmap:inet:" + g.socketmap + ":starttls"} {
		said := ask(by)
		for _, c := range clients {
			hides := strings.Contains(said[c], "starttls")
			if hides != strings.Contains(exported[c], "starttls") {
				t.Errorf("%s: by %s %q, by the table %q", c, by, said[c], exported[c])
			}
			if hides {
				suppressed++
			}
		}
	}
	if suppressed < 20 || suppressed > 2*len(clients)-20 {
		text, _ := os.ReadFile(table)
		t.Errorf("%d answers suppress: %v\n%s", suppressed, exported, text)
	}
}
