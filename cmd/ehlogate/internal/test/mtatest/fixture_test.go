package mtatest_test

import (
	"os"
	"path/filepath"
	"testing"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
)

// The addresses that the lists of TestPostfix know.
const (
	denied   = "127.0.0.10"
	allowed  = "127.0.0.20" // inside of a denied network
	unlisted = "127.0.0.30"
	later    = "127.0.0.40" // denied by an edit
)

const testLists = `[[list]]
name   = "allow"
action = "offer"
files  = ["allow.list"]

[[list]]
name   = "deny"
action = "suppress"
files  = ["deny.list"]
`

var testFiles = map[string]string{
	"allow.list": "# partners\n127.0.0.20\n2001:db8:a::/48\n",
	"deny.list":  "127.0.0.10\n127.0.0.20/30\n::1\n192.0.2.0/24\n2001:db8::/32\nhelo:bad.example\n",
}

// fixture is what the parts of TestPostfix share: one Postfix with a port for every way to ask, and three daemons behind it.
type fixture struct {
	*mtatest.Postfix
	etc                      string
	plain, explicit, observe *daemon
}

func newFixture(t *testing.T) *fixture {
	dir := tempDir(t)
	layout := mtatest.LayoutOf(dir)
	jail := filepath.Join(layout.Queue, "ehlogate") // as seen from outside
	if err := os.MkdirAll(jail, 0o755); err != nil {
		t.Fatal(err)
	}
	const hidden = "always_hide = [\"chunking\"]\n"
	s := &fixture{etc: layout.Config}
	s.plain = startDaemon(t, "plain", hidden, map[string]string{
		"memcache":  filepath.Join(jail, "memcache"),
		"socketmap": filepath.Join(jail, "socketmap"),
	}, testLists, testFiles)
	s.explicit = startDaemon(t, "explicit", hidden+"explicit_offer = true\n", nil, testLists, testFiles)
	s.observe = startDaemon(t, "observe", hidden+"mode = \"observe\"\n", nil, testLists, testFiles)

	files := map[string]string{
		"plain.cf":    memcacheCF("inet:"+s.plain.memcache, "starttls:%s", 1, "cidr:/dev/null"),
		"unix.cf":     memcacheCF("unix:ehlogate/memcache", "starttls:%s", 1, "cidr:/dev/null"),
		"explicit.cf": memcacheCF("inet:"+s.explicit.memcache, "starttls:%s", 1, "cidr:"+s.etc+"/backup.cidr"),
		"observe.cf":  memcacheCF("inet:"+s.observe.memcache, "starttls:%s", 1, "cidr:/dev/null"),
		"helo.cf":     memcacheCF("inet:"+s.plain.memcache, "helo:%s", 1, "cidr:/dev/null"),
		"backup.cidr": "0.0.0.0/0 dsn\n::/0 dsn\n",
		"ehlo.regexp": "/^EHLO[[:space:]]+([^[:space:]]+)[[:space:]]*$/ $1\n",
	}
	table := func(name string) string { return "memcache:" + s.etc + "/" + name + ".cf" }
	jailed := func(name, table string) mtatest.Service {
		service := hides(name, table)
		service.Chroot = true
		return service
	}
	s.Postfix = startPostfix(t, mtatest.PostfixConfig{
		Dir: dir,
		Services: []mtatest.Service{
			hides("memcache", table("plain")),
			hides("proxy", "proxy:"+table("plain")),
			hides("socketmap", "socketmap:inet:"+s.plain.socketmap+":starttls"),
			hides("tcptable", "tcp:"+s.plain.tcp),
			jailed("jailmemcache", table("unix")),
			jailed("jailsocketmap", "socketmap:unix:ehlogate/socketmap:starttls"),
			hides("explicit", table("explicit")),
			hides("observe", table("observe")),
			{Name: "helo", Options: map[string]string{
				"smtpd_command_filter": "pipemap:{regexp:" + s.etc + "/ehlo.regexp, " + table("helo") + "}",
			}},
			{
				Name: "screen", Command: "postscreen",
				Options: map[string]string{
					"smtpd_discard_ehlo_keyword_address_maps":      table("plain"),
					"postscreen_discard_ehlo_keyword_address_maps": "",
					"postscreen_greet_wait":                        "1s",
				},
				Behind: hides("", table("plain")).Options,
			},
		},
		Main:  "proxy_read_maps = proxy:" + table("plain"),
		Files: files,
	})
	return s
}

// addressVariants are the services that ask by address and have the plain daemon behind them.
var addressVariants = []string{"memcache", "proxy", "socketmap", "tcptable", "jailmemcache", "jailsocketmap"}
