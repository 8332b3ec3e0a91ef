package mtatest_test

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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
	table  string // ehlogate.cf; empty: that of the examples
	// files are more files beside main.cf. EXPORT is what ehlogate exports as postfix-cidr, and OLD EXPORT what it exported
	// before there was an allow list; flags behind that choose another format.
	files       map[string]string
	makes       string // a command that makes databases of them
	config      string // put at the top of ehlogate.toml
	first, last string // lists before and behind the others
	public      bool   // the clients have addresses about which DNS lists are queried

	rules    string // of nftables
	old      bool   // there is a list with action = "legacy", behind the others
	strict   bool   // there is a list with action = "require", before the others
	mail     []port // empty: 127.0.0.1:25
	login    []port // empty: 127.0.0.1:587
	ipv6     bool   // the clients have IPv6 addresses
	edited   bool   // a client is added to the allow list
	relative bool   // doctor is given a relative directory
	helo     bool   // the suppressed client is also in the list by its HELO name
	private  bool   // the deny list is for root alone, and ehlogate runs as another user
	socket   string // an address that ehlogate inherits for memcache, beside its own
	access   string // socket_group and socket_mode of [listen]; empty: those of the examples

	tests  bool // postscreen answers EHLO itself, and takes no mail
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
	clientsIPv4   = map[string]string{"denied": "127.0.0.66", "allowed": "127.0.0.70", "unlisted": "127.0.0.99", "edited": "127.0.0.69", "strict": "127.0.0.77", "legacy": "127.0.0.80"}
	clientsPublic = map[string]string{"denied": "5.5.5.66", "allowed": "5.5.5.70", "unlisted": "5.5.5.99", "edited": "5.5.5.69", "strict": "5.5.5.77"}
	clientsIPv6   = map[string]string{"denied": "fd00::42", "allowed": "fd00::46", "unlisted": "fd00::63", "edited": "fd00::45", "strict": "fd00::4d"}
)

// botName is the HELO name of the suppressed client, if it is in the list.
const botName = "bot.client.example"

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

const legacyList = `
[[list]]
name   = "legacy"
action = "legacy"
files  = ["legacy.list"]
`

func rosterFiles() map[string]string {
	return map[string]string{
		"allow.list":  "127.0.0.70\n5.5.5.70\nfd00::46\n",
		"deny.list":   "127.0.0.64/29\n5.5.5.64/29\nfd00::40/125\n",
		"legacy.list": "127.0.0.80\n",
		"wide.list":   "126.255.0.0-127.0.0.66\n",
		"strict.list": "127.0.0.77\n5.5.5.77\nfd00::4d\n",
	}
}

func postfixConfigurations() (out []configuration) {
	for _, r := range postfixRows() {
		out = append(out, configuration{server: "Postfix", name: r.name, setUp: r.setUp, advice: r.advice, explicitOffer: strings.Contains(r.config, "explicit_offer = true")})
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
		do: network.Do, accepts: !r.tests, keeps: strings.Contains(r.table, "CONFIG/ehlogate."), clients: maps.Clone(clientsIPv4),
		mail: r.mail, login: r.login,
	}
	if r.mail == nil {
		s.mail = []port{{addr: "127.0.0.1:25"}}
	}
	if r.login == nil {
		s.login = []port{{addr: "127.0.0.1:587"}}
	}
	if _, err := network.Run(soon(t), "ip", "addr", "add", "192.0.2.25/32", "dev", "lo"); err != nil {
		t.Fatal(err)
	}
	switch {
	case r.ipv6:
		s.clients = maps.Clone(clientsIPv6)
	case r.public:
		s.clients = maps.Clone(clientsPublic)
	}
	for _, addr := range s.clients {
		if !strings.HasPrefix(addr, "127.") {
			if _, err := network.Run(soon(t), "ip", "addr", "add", addr, "dev", "lo", "nodad"); err != nil {
				t.Fatal(err)
			}
		}
	}
	if r.helo {
		s.bot = botName
	}
	if !r.strict {
		delete(s.clients, "strict")
	}
	if !r.old {
		delete(s.clients, "legacy")
	}
	if r.rules != "" {
		if _, err := network.Pipe(soon(t), r.rules, "nft", "-f", "-"); err != nil {
			t.Fatal(err)
		}
	}
	dir := tempDir(t)
	var config string
	s.daemon, config = r.startDaemon(t, network, mtatest.LayoutOf(dir).Queue)
	if s.program, err = mtatest.Program(false); err != nil {
		t.Fatal(err)
	}
	s.doctor = []string{"-c", config}
	if r.edited {
		s.edit = func(t *testing.T) { s.allow(t, config) }
	}
	p := r.newPostfix(t, s, network, dir)
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
	if r.relative {
		s.dir = dir
		s.doctor = append(s.doctor, "--postfix-config", filepath.Base(p.Config))
	} else {
		s.doctor = append(s.doctor, "--postfix-config", p.Config)
	}
	return s
}

// startDaemon starts ehlogate at the sockets and ports of the examples.
func (r postfixRow) startDaemon(t *testing.T, network *netns.Namespace, queue string) (d *mtatest.Daemon, config string) {
	t.Helper()
	dir := filepath.Join(tempDir(t), "ehlogate")
	sockets := filepath.Join(queue, "ehlogate")
	for _, d := range []string{dir, sockets} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	listen := "[listen]\n" + cmp.Or(r.access, "socket_group = \"postfix\"\nsocket_mode = \"0660\"\n")
	var ready []string
	for i, protocol := range []string{"socketmap", "tcp_table", "policy", "milter", "memcache"} {
		addrs := []string{filepath.Join(sockets, protocol), fmt.Sprintf("127.0.0.1:%d", []int{10041, 10042, 10043, 10044, 10046}[i])}
		listen += fmt.Sprintf("%s = [%q, %q]\n", protocol, addrs[0], addrs[1])
		ready = append(ready, addrs...)
	}
	lists := r.first + rosterLists + r.last
	if r.strict {
		lists = strictList + lists
	}
	if r.old {
		lists += legacyList
	}
	files := rosterFiles()
	if r.helo {
		files["deny.list"] += "helo:" + botName + "\n"
	}
	f := mtatest.Fixture{
		Dir: dir, Config: r.config + "\n" + listen + lists, Files: files, Ready: mtatest.ReadyDial(ready...),
	}
	if r.socket != "" {
		f.Command = []string{"systemd-socket-activate", "--fdname=memcache", "--listen=" + r.socket}
		f.Ready = mtatest.ReadyDial(append([]string{r.socket}, ready...)...) // the first connection starts it
	}
	if r.private {
		f.Command = []string{"setpriv", "--reuid=nobody", "--regid=nogroup", "--groups=postfix"}
		if err := os.Chmod(sockets, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	d = mtatest.NewFixture(t, f)
	if r.private {
		if err := os.Chmod(filepath.Join(dir, "deny.list"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := network.Do(func() error { return d.Start(soon(t)) }); err != nil {
		t.Fatal(err)
	}
	return d, filepath.Join(dir, "ehlogate.toml")
}

// newPostfix writes the configuration. No client is one of its own networks.
func (r postfixRow) newPostfix(t *testing.T, s *site, network *netns.Namespace, dir string) *mtatest.Postfix {
	t.Helper()
	layout := mtatest.LayoutOf(dir)
	files := map[string]string{"ehlogate.cf": cmp.Or(r.table, example(t, "postfix/ehlogate.cf"))}
	for _, name := range []string{"ehlogate-helo.cf", "ehlogate-helo.regexp"} {
		files[name] = example(t, "postfix/"+name)
	}
	maps.Copy(files, r.files)
	fill := strings.NewReplacer("MAP", mapOption, "CONFIG", layout.Config, "QUEUE", layout.Queue)
	for name, text := range files {
		flags, isExport := strings.CutPrefix(text, "EXPORT")
		oldFlags, isOld := strings.CutPrefix(text, "OLD EXPORT")
		switch {
		case isExport:
			files[name] = s.export(t, s.doctor[1], flags)
		case isOld:
			old := filepath.Join(filepath.Dir(s.doctor[1]), "old.toml")
			if err := os.WriteFile(old, []byte(rosterLists[strings.LastIndex(rosterLists, "[[list]]"):]), 0o644); err != nil {
				t.Fatal(err)
			}
			files[name] = s.export(t, old, oldFlags)
		default:
			files[name] = strings.NewReplacer("CONFIG", layout.Config, "QUEUE", layout.Queue).Replace(text)
		}
	}
	networks := "mynetworks = 127.0.0.1/32\n"
	if strings.Contains(r.main, "mynetworks =") {
		networks = ""
	}
	p, err := mtatest.NewPostfix(mtatest.PostfixConfig{
		Dir: dir, Network: network, Files: files,
		Main:   networks + "inet_interfaces = all\nin_flow_delay = 0\nsmtpd_error_sleep_time = 0\n" + fill.Replace(r.main),
		Master: fill.Replace(cmp.Or(r.master, usualMaster)),
	})
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(soon(t), "sh", "-euc", strings.ReplaceAll(r.makes, "CONFIG", layout.Config)).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", r.makes, err, out)
	}
	return p
}

// export returns the table that ehlogate exports.
func (s *site) export(t *testing.T, config, flags string) string {
	t.Helper()
	args := append([]string{"export", "-c", config, "--format", "postfix-cidr"}, strings.Fields(flags)...)
	out, err := exec.CommandContext(soon(t), s.program, args...).Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

// allow adds a client to the allow list, and waits until the daemon has the list.
func (s *site) allow(t *testing.T, config string) {
	t.Helper()
	path, mark := filepath.Join(filepath.Dir(config), "allow.list"), s.daemon.Log.Mark()
	text := rosterFiles()["allow.list"] + s.clients["edited"] + "\n"
	if err := os.WriteFile(path+".new", []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	if _, err := s.daemon.Log.Await(soon(t), regexp.MustCompile(`list (re)?loaded.*list=allow`), mark); err != nil {
		t.Fatal(err)
	}
}
