package mtatest_test

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/cmd/ehlogate/internal/test/netns"
)

// postfixRow is a configuration of Postfix, in a network of its own, so that the ports are the real ones.
type postfixRow struct {
	name string
	main string // appended to main.cf
	// master are the services for mail in master.cf. Empty: those of usualMaster. MAP stands for the option of the examples
	// that names the map.
	master string
	table  string            // ehlogate.cf; empty: that of the examples
	files  map[string]string // more files beside main.cf
	config string            // put at the top of ehlogate.toml
	lists  string            // put behind the sections of the lists
	strict bool              // there is a list with action = "require", before the others
	mail   []port            // empty: 127.0.0.1:25
	login  []port            // empty: 127.0.0.1:587
	ipv6   bool              // the clients have IPv6 addresses
	tests  bool              // postscreen answers EHLO itself, and takes no mail
	advice []string
}

const (
	usualMail   = "smtp inet n - n - - smtpd MAP\n"
	usualLogin  = "submission inet n - n - - smtpd\n"
	usualMaster = usualMail + usualLogin
	mapOption   = "-o smtpd_discard_ehlo_keyword_address_maps=memcache:$config_directory/ehlogate.cf"
)

// The clients of a row, on loopback. The allowed one is in the range that is suppressed.
var (
	clientsIPv4 = map[string]string{"denied": "127.0.0.66", "allowed": "127.0.0.70", "unlisted": "127.0.0.99", "strict": "127.0.0.77"}
	clientsIPv6 = map[string]string{"denied": "fd00::42", "allowed": "fd00::46", "unlisted": "fd00::63", "strict": "fd00::4d"}
)

// rosterLists are the lists of every row; the files are in the directory of ehlogate.toml.
const rosterLists = `
[[list]]
name   = "allow"
action = "offer"
files  = ["allow.list"]

[[list]]
name   = "deny"
action = "suppress"
files  = ["deny.list"]
`

const strictList = `
[[list]]
name   = "strict"
action = "require"
files  = ["strict.list"]
`

func rosterFiles() map[string]string {
	return map[string]string{
		"allow.list": "127.0.0.70\nfd00::46\n", "deny.list": "127.0.0.64/29\nfd00::40/125\n", "strict.list": "127.0.0.77\nfd00::4d\n",
	}
}

func postfixConfigurations() (out []configuration) {
	for _, r := range postfixRows() {
		out = append(out, configuration{server: "Postfix", name: r.name, setUp: r.setUp, advice: r.advice})
	}
	return out
}

func (r postfixRow) setUp(t *testing.T) *site {
	network, err := netns.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { network.Close() })
	s := &site{
		do: network.Do, accepts: !r.tests, clients: maps.Clone(clientsIPv4),
		mail: r.mail, login: r.login,
	}
	if r.mail == nil {
		s.mail = []port{{addr: "127.0.0.1:25"}}
	}
	if r.login == nil {
		s.login = []port{{addr: "127.0.0.1:587"}}
	}
	if r.ipv6 {
		s.clients = maps.Clone(clientsIPv6)
		for _, addr := range s.clients {
			if _, err := network.Run(soon(t), "ip", "addr", "add", addr+"/128", "dev", "lo", "nodad"); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !r.strict {
		delete(s.clients, "strict")
	}
	dir := tempDir(t)
	s.daemon, s.doctor = r.startDaemon(t, network, mtatest.LayoutOf(dir).Queue)
	s.program = s.daemon.Path
	p := r.newPostfix(t, network, dir)
	if err := p.Start(soon(t)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(soon(t)); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(p.Maillog().Tail(30))
		}
	})
	s.doctor = append(s.doctor, "--postfix-config", p.Config)
	return s
}

// startDaemon starts ehlogate at the sockets and ports of the examples.
func (r postfixRow) startDaemon(t *testing.T, network *netns.Namespace, queue string) (d *mtatest.Daemon, doctor []string) {
	t.Helper()
	dir := filepath.Join(tempDir(t), "ehlogate")
	sockets := filepath.Join(queue, "ehlogate")
	for _, d := range []string{dir, sockets} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	listen := "[listen]\nsocket_group = \"postfix\"\nsocket_mode = \"0660\"\n"
	var ready []string
	for i, protocol := range []string{"socketmap", "tcp_table", "policy", "milter", "memcache"} {
		addrs := []string{filepath.Join(sockets, protocol), fmt.Sprintf("127.0.0.1:%d", []int{10041, 10042, 10043, 10044, 10046}[i])}
		listen += fmt.Sprintf("%s = [%q, %q]\n", protocol, addrs[0], addrs[1])
		ready = append(ready, addrs...)
	}
	lists := rosterLists
	if r.strict {
		lists = strictList + lists
	}
	d = mtatest.NewFixture(t, mtatest.Fixture{
		Dir: dir, Config: r.config + "\n" + listen + lists + r.lists, Files: rosterFiles(), Ready: mtatest.ReadyDial(ready...),
	})
	if err := network.Do(func() error { return d.Start(soon(t)) }); err != nil {
		t.Fatal(err)
	}
	return d, []string{"-c", filepath.Join(dir, "ehlogate.toml")}
}

// newPostfix writes the configuration. No client is one of its own networks.
func (r postfixRow) newPostfix(t *testing.T, network *netns.Namespace, dir string) *mtatest.Postfix {
	t.Helper()
	config := mtatest.LayoutOf(dir).Config
	files := map[string]string{"ehlogate.cf": cmp.Or(r.table, example(t, "postfix/ehlogate.cf"))}
	for _, name := range []string{"ehlogate-helo.cf", "ehlogate-helo.regexp"} {
		files[name] = example(t, "postfix/"+name)
	}
	maps.Copy(files, r.files)
	fill := strings.NewReplacer("MAP", mapOption, "CONFIG", config)
	for name, text := range files {
		files[name] = strings.ReplaceAll(text, "CONFIG", config)
	}
	p, err := mtatest.NewPostfix(mtatest.PostfixConfig{
		Dir: dir, Network: network, Files: files,
		Main:   "mynetworks = 127.0.0.1/32\nin_flow_delay = 0\nsmtpd_error_sleep_time = 0\n" + fill.Replace(r.main),
		Master: fill.Replace(cmp.Or(r.master, usualMaster)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}
