package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	milterclient "github.com/emersion/go-milter"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/cmd/ehlogate/internal/state"
	"ehlogate/lists/dnsbl"
	"ehlogate/lists/dnsclient"
	"ehlogate/lists/test/dnstest"
	"ehlogate/lists/test/testenv"
)

const (
	longKey  = "k3yaip7yig6sahg6ehsohn5shc" // looks like one
	shortKey = "qzkey7"                     // does not, and has a name in its place
)

// secretConfig has both keys. Two lists suppress by one zone each, and a third offers by a zone that fails.
const secretConfig = `
default = "suppress"
guard.off = true
dns.resolvers = ["$DNS"]
dns.wait = "1s"
dns.timeout = "250ms"
policy.suppressed = "PREPEND X-starttls: {action} {list} {entry}"
milter.add_header = true
log = { level = "debug", format = "$FORMAT" }
[[list]]
name = "long"
action = "suppress"
zones = [{zone = "` + longKey + `.zen.test"}]
[[list]]
name = "short"
action = "suppress"
zones = [{zone = "` + shortKey + `.bl.test", name = "bl"}, {zone = "` + shortKey + `.bl.test", name = "bl", health_check = false, weight = 2}]
[[list]]
name = "failing"
action = "suppress"
zones = [{zone = "` + longKey + `.fail.test"}, {zone = "` + shortKey + `.fail.test", name = "fail", by = "name"}]
`

// surfaces collects what the daemon and the commands show.
type surfaces struct {
	t     *testing.T
	shown int
}

func (s *surfaces) check(name, text string) {
	s.t.Helper()
	s.shown++
	for _, key := range []string{longKey, shortKey} {
		if at := strings.Index(strings.ToLower(text), key); at >= 0 {
			s.t.Errorf("%s shows the key %s: ...%s...", name, key, text[max(0, at-200):min(len(text), at+200)])
		}
	}
}

func (s *surfaces) run(args ...string) (stdout string) {
	s.t.Helper()
	var out, errs bytes.Buffer
	run(context.Background(), args, &out, &errs)
	s.check(strings.Join(args, " "), out.String())
	s.check(strings.Join(args, " ")+" (errors)", errs.String())
	return out.String() + errs.String()
}

// listedAddr is in the zones, freeAddr is not.
const listedAddr, freeAddr = "8.8.8.8", "8.8.4.4"

// TestKeysAreNeverShown drives each way in which the daemon and the commands show something, with each fault that a DNS
// server can have, and looks for the keys of the zones in it. The server does get them.
func TestKeysAreNeverShown(t *testing.T) {
	testenv.Needs(t, "Postfix")
	s := &surfaces{t: t}
	listed := "2.0.0.127 A 127.0.0.2\n8.8.8.8 A 127.0.0.4\ntest A 127.0.0.2\n"
	server := dnstest.StartServer(t, dnstest.NewZone(t, longKey+".zen.test", listed), dnstest.NewZone(t, shortKey+".bl.test", listed),
		dnstest.NewZone(t, longKey+".fail.test", listed), dnstest.NewZone(t, shortKey+".fail.test", listed))
	conf := strings.ReplaceAll(secretConfig, "$DNS", server.Addr.String())
	for kind := range dnstest.Tamper + 1 {
		for _, zone := range []string{longKey + ".fail.test", shortKey + ".fail.test"} {
			server.Fail(zone, dnstest.Fault{Kind: kind})
		}
		format := []string{"text", "json"}[kind%2]
		d := startDaemon(t, strings.ReplaceAll(conf, "$FORMAT", format), nil)
		s.useDaemon(d)
		s.useCommands(filepath.Join(d.dir, "c.toml"))
		if kind == dnstest.None || kind == dnstest.ServFail || kind == dnstest.ErrorCode {
			s.useDoctor(d)
		}
		if kind == dnstest.None {
			s.breakConfig(d)
			s.showValues(filepath.Join(d.dir, "c.toml"))
		}
		s.checkErrors(server, kind)
		d.stop()
		<-d.done
		s.check("the log", d.log.String())
		if kind == dnstest.Parked && !strings.Contains(d.log.String(), "zone ***.fail.test disabled") {
			t.Errorf("the log does not name the zone:\n%s", d.log.String())
		}
	}
	for _, zone := range []string{longKey + ".zen.test", shortKey + ".bl.test"} {
		if server.QueryCount("8.8.8.8."+zone) == 0 {
			t.Errorf("%s was never queried", zone)
		}
	}
	if s.shown < 500 {
		t.Errorf("only %d texts were looked at", s.shown)
	}
}

// checkErrors checks the errors of a health check, which only some callers show.
func (s *surfaces) checkErrors(server *dnstest.Server, kind dnstest.Kind) {
	s.t.Helper()
	resolver := dnsclient.New(dnsclient.Options{Servers: []netip.AddrPort{server.Addr}, Timeout: 50 * time.Millisecond})
	for _, byName := range []bool{false, true} {
		zone := dnsbl.Zone{Domain: dnsbl.NewDomain(longKey+".fail.test", ""), ByName: byName, Weight: 1}
		if err := dnsbl.CheckHealth(s.t.Context(), resolver, zone); err != nil {
			s.check("an error", fmt.Sprintf("%v %+v %#v", err, err, err))
		} else if kind == dnstest.ServFail {
			s.t.Error("a zone that fails is well")
		}
	}
}

// useDaemon queries each socket, and reloads with broken configs.
func (s *surfaces) useDaemon(d *daemon) {
	s.t.Helper()
	send := func(protocol, query string, want ...string) {
		s.t.Helper()
		c := d.connect(protocol)
		defer c.Close()
		io.WriteString(c, query)
		c.(interface{ CloseWrite() error }).CloseWrite()
		reply, err := io.ReadAll(c)
		s.check(protocol, string(reply))
		for _, w := range want {
			if !strings.Contains(string(reply), w) {
				s.t.Errorf("%s: got %q, %v, want %q", protocol, reply, err, w)
			}
		}
	}
	for _, addr := range []string{listedAddr, freeAddr} {
		send("memcache", "get starttls:"+addr+"\r\n")
		send("socketmap", fmt.Sprintf("%d:starttls %s,", len("starttls "+addr), addr))
		send("tcp_table", "get "+addr+"%20helo.example\n")
		send("policy", "request=smtpd_access_policy\nprotocol_state=MAIL\nclient_address="+addr+"\nclient_port=4711\nclient_name=a.example\nsender=a@example\ninstance=1.2.3\n\n")
		s.check("milter", d.sendMail(addr))
		_, body := d.getHTTP("/api/v1/decision?addr=" + addr + "&name=a.example")
		s.check("/api/v1/decision", body)
		_, body = d.getHTTP("/?client=" + addr)
		s.check("/", body)
	}
	if got := d.sendMail(listedAddr); !strings.Contains(got, "starttls=suppress; list=long; entry=***.zen.test 127.0.0.4") {
		s.t.Errorf("the milter says %s", got)
	}
	send("policy", "request=smtpd_access_policy\nprotocol_state=MAIL\nclient_address="+listedAddr+"\ninstance=1.2.4\n\n", "suppress long ***.zen.test 127.0.0.4")
	broken := strings.NewReplacer("weight = 2", "wieght = 2", `"bl", h`, `"other", h`)
	good, err := os.ReadFile(filepath.Join(d.dir, "c.toml"))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, conf := range []string{broken.Replace(string(good)), strings.Replace(string(good), `"bl", h`, `"other", h`, 1), strings.Replace(string(good), `.zen.test"`, `.zen.test`, 1)} {
		// On a busy machine a reload may also fail because the file system does not respond in time, and is then tried again.
		const failures = "ehlogate_config_reload_failures_total"
		before := d.scrape()[failures]
		d.writeFile("c.toml", conf)
		d.hup <- syscall.SIGHUP
		d.waitUntil("the reload fails", func() bool { return d.scrape()[failures] != before })
		_, body := d.getHTTP("/healthz")
		s.check("/healthz", body)
	}
	d.writeFile("c.toml", string(good))
	d.hup <- syscall.SIGHUP
	d.waitUntil("the reload", func() bool { return strings.Contains(d.log.String(), "config reloaded") })
	for _, path := range []string{"/healthz", "/metrics", "/api/v1/lists", "/api/v1/reputation", "/"} {
		_, body := d.getHTTP(path)
		s.check(path, body)
		if path != "/healthz" && (!strings.Contains(body, `***.zen.test`) || !strings.Contains(body, `"bl"`) && !strings.Contains(body, ">bl<")) {
			s.t.Errorf("%s does not tell the zones apart:\n%s", path, body)
		}
	}
}

// sendMail sends a message through the milter, and returns what that does to it.
func (d *daemon) sendMail(addr string) string {
	d.t.Helper()
	client := milterclient.NewClientWithOptions("unix", d.socketPath("milter"), milterclient.ClientOptions{
		ActionMask: milterclient.OptAddHeader | milterclient.OptChangeHeader, ReadTimeout: 20 * time.Second, WriteTimeout: 20 * time.Second,
		ProtocolMask: milterclient.OptNoRcptTo | milterclient.OptNoBody | milterclient.OptNoHeaders | milterclient.OptNoEOH})
	defer client.Close()
	session, err := client.Session()
	if err != nil {
		d.t.Fatal(err)
	}
	defer session.Close()
	_, connErr := session.Conn("a.example", milterclient.FamilyInet, 4711, addr)
	_, heloErr := session.Helo("a.example")
	_, mailErr := session.Mail("a@example", nil)
	_, headerErr := session.HeaderField("Subject", "x")
	changes, action, err := session.End()
	if connErr != nil || heloErr != nil || mailErr != nil || headerErr != nil || err != nil {
		d.t.Fatal(connErr, heloErr, mailErr, headerErr, err)
	}
	return fmt.Sprintf("%+v %+v", changes, action)
}

// useCommands runs all commands but doctor.
func (s *surfaces) useCommands(conf string) {
	s.t.Helper()
	for _, more := range [][]string{{}, {"--json"}} {
		s.run(append([]string{"explain", "-c", conf, listedAddr, "--name", "a.example"}, more...)...)
		s.run(append([]string{"explain", "-c", conf, freeAddr}, more...)...)
	}
	if got := s.run("explain", "-c", conf, listedAddr); !strings.Contains(got, "8.8.8.8.***.zen.test A") || !strings.Contains(got, "8.8.8.8.bl A") {
		s.t.Errorf("explain does not show the queries: %s", got)
	}
	for _, format := range [][]string{{"postfix-cidr"}, {"sendmail-access"}, {"exim-hosts"}, {"nft", "--action", "suppress"}} {
		for _, more := range [][]string{nil, {"--without-dns"}, {"--without-dns", "--without-names"}} {
			s.run(append(append([]string{"export", "-c", conf, "--format"}, format...), more...)...)
		}
	}
	s.run("check", "-c", conf)
}

// breakConfig has check and explain report what is wrong with configs.
func (s *surfaces) breakConfig(d *daemon) {
	s.t.Helper()
	conf := filepath.Join(d.dir, "c.toml")
	good, err := os.ReadFile(conf)
	if err != nil {
		s.t.Fatal(err)
	}
	other := filepath.Join(d.dir, "broken.toml")
	for _, edit := range [][2]string{
		{`.zen.test"`, `.zen.test`}, {`.zen.test"`, `.zen..test"`}, {`.zen.test"`, `.zen_.test"`}, {`zone = "`, `zone = `}, {`zone = "`, `zone = ["`}, {`zone =`, `zome =`},
		{`zone =`, `Zone =`}, {`zones =`, `zone =`}, {`, by = "name"`, `, by = "nam"`}, {`by = "name"`, `by = "` + longKey + `.a.test"`}, {`.bl.test`, `.bl.test.`}, {`"bl", h`, `"other", h`}, {`name = "fail"`, `name = "bl"`},
		{`weight = 2`, `weight = 0`}, {`, name = "bl", h`, `, h`}, {`zones = [{`, `zones = {`}, {`}]`, `}`}, {`zone = "`, `zone = """` + "\n"},
		{`zone = "`, `zone = "https://`}, {`zone = "`, `zone = 5 # "`}, {"[[list]]\nname = \"long\"", "[[list]]"},
	} {
		text := strings.Replace(string(good), edit[0], edit[1], 1)
		if text == string(good) {
			s.t.Fatalf("%q is not in the config", edit[0])
		}
		d.writeFile("broken.toml", text)
		s.run("check", "-c", other)
		s.run("explain", "-c", other, freeAddr)
	}
}

// useDoctor examines a Postfix that queries zones by itself, with a key, and is misconfigured.
func (s *surfaces) useDoctor(d *daemon) {
	s.t.Helper()
	dir := s.t.TempDir()
	main := "compatibility_level = 3.6\nsmtpd_discard_ehlo_keyword_address_maps = socketmap:unix:" + d.socketPath("socketmap") + ":starttls\nsmtpd_sender_restrictions = reject_rbl_client " +
		longKey + ".zen.test, check_policy_service unix:" + d.socketPath("policy") + "\n"
	for name, text := range map[string]string{"main.cf": main, "master.cf": "smtp inet n - y - - smtpd\nsubmission inet n - y - - smtpd\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			s.t.Fatal(err)
		}
	}
	for _, format := range []string{"--json=false", "--json"} {
		got := s.run("doctor", "-c", filepath.Join(d.dir, "c.toml"), "--postfix-config", dir, format)
		if !strings.Contains(got, "reject_rbl_client ***.zen.test") {
			s.t.Errorf("doctor does not show the restrictions of Postfix:\n%s", got)
		}
	}
}

// showValues prints the config and the state in every way that a careless line of code could.
func (s *surfaces) showValues(file string) {
	cfg, err := config.Load(file)
	if err != nil {
		s.t.Fatal(err)
	}
	manager := state.Load(cfg, time.Now)
	defer manager.RunOnce(context.Background(), time.Second)()
	snapshot := manager.Snapshot()
	values := []any{cfg, *cfg, manager, snapshot, *snapshot, snapshot.DNS.Stats(), fmt.Errorf("%v", cfg)}
	for _, l := range cfg.Lists {
		values = append(values, l, l.Zones, l.Zones.Zones, l.Zones.Zones[0].ID())
	}
	for _, source := range snapshot.Sources {
		values = append(values, source, source.DNS, []any{source.DNS})
	}
	for _, v := range values {
		for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
			s.check(format, fmt.Sprintf(format, v))
		}
		if b, err := json.Marshal(v); err == nil {
			s.check("JSON", string(b))
		}
	}
}
