package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"ehlogate/lists/test/dnstest"
	"ehlogate/lists/test/testenv"
)

// fullConfig uses all that has metrics. Its lists decide in each way.
const fullConfig = `
default = "limit"
limit = { offers_per_second = 0.001, cpu_pressure = "95%", pressure_file = "$PSI" }
guard = { domains = ["example.org"], state = "" }
dns = { resolvers = ["$DNS"], timeout = "50ms", verify_names = true }
logs = { files = ["$LOG"], state = "" }
learn = { state = "$DB" }
[[list]]
name = "must"
action = "require"
files = ["must.list"]
[[list]]
name = "allow"
action = "offer"
files = ["allow.list"]
[[list]]
name = "trial"
action = "suppress"
mode = "observe"
files = ["trial.list"]
[[list]]
name = "deny"
action = "suppress"
hide = ["dsn"]
files = ["deny.list"]
expire_after = "10d"
[[list]]
name = "dns"
action = "suppress"
zones = [{zone = "bl.test"}, {zone = "` + longKey + `.names.test", by = "name", name = "names"}]
[[list]]
name = "broken"
action = "suppress"
learn = "fallback"
[[list]]
name = "earned"
action = "offer"
learn = "earned"
`

func startFullDaemon(t *testing.T) (*daemon, *dnstest.Server) {
	server := dnstest.StartServer(t, dnstest.NewZone(t, "bl.test", "2.0.0.127 A 127.0.0.2\n8.8.8.8 A 127.0.0.2\n"),
		dnstest.NewZone(t, longKey+".names.test", "test A 127.0.0.2\n"), dnstest.NewZone(t, "example.org", "@ MX 10 mx\nmx A 192.0.2.25\n"),
		dnstest.NewZone(t, "8.in-addr.arpa", "8.8.8 PTR a.example.org.\n"), dnstest.NewZone(t, ".", "@ NS root.test.\n"))
	log := filepath.Join(t.TempDir(), "mail.log")
	if err := os.WriteFile(log, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	psi := filepath.Join(filepath.Dir(log), "cpu.pressure")
	if err := os.WriteFile(psi, []byte("some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := startJSONDaemon(t, strings.NewReplacer("$DNS", server.Addr.String(), "$LOG", log, "$DB", log+".db", "$PSI", psi).Replace(fullConfig), map[string]string{"must.list": "192.0.2.1\n", "allow.list": "192.0.2.2\n.example.net\n",
		"trial.list": "192.0.2.3\n", "deny.list": "192.0.2.4\n"})
	return d, server
}

// scrapeAll returns the samples of the daemon: the value of each series, as they are written.
func (d *daemon) scrapeAll() map[string]string {
	d.t.Helper()
	_, body := d.getHTTP("/metrics")
	return parseSamples(d.t, strings.NewReader(body))
}

// parseSamples returns what /metrics answered.
func parseSamples(t *testing.T, body io.Reader) map[string]string {
	t.Helper()
	samples := make(map[string]string)
	lines := bufio.NewScanner(body)
	for lines.Scan() {
		if line := lines.Text(); !strings.HasPrefix(line, "#") {
			at := strings.LastIndexByte(line, ' ') // a label may have one, too
			samples[line[:at]] = line[at+1:]
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return samples
}

// scrape returns the samples of the daemon without those of Go.
func (d *daemon) scrape() map[string]string {
	d.t.Helper()
	samples := d.scrapeAll()
	maps.DeleteFunc(samples, func(series, _ string) bool {
		return !strings.HasPrefix(series, "ehlogate_") && series != "process_start_time_seconds"
	})
	return samples
}

// useEverything has the daemon decide in each way, and see each fault that a mail server, an operator or a DNS server can
// cause. It returns when the metrics show the last of them.
func useEverything(d *daemon, server *dnstest.Server) {
	d.t.Helper()
	send := func(protocol, query string) {
		d.t.Helper()
		c := d.connect(protocol)
		defer c.Close()
		io.WriteString(c, query) // fails if the daemon closes the connection
		c.(*net.UnixConn).CloseWrite()
		io.Copy(io.Discard, c)
	}
	for _, addr := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5", "8.8.8.8", "8.8.4.4", "2a00::1", "nonsense"} {
		send("memcache", "get starttls:"+addr+"\r\n")
		send("socketmap", fmt.Sprintf("%d:starttls %s,", len("starttls "+addr), addr))
		send("tcp_table", "get "+addr+"\n")
		for i, more := range []string{"", "encryption_protocol=TLSv1.3\n", "sasl_username=a\n"} {
			send("policy", fmt.Sprintf("request=smtpd_access_policy\nprotocol_state=MAIL\nclient_address=%s\nclient_port=47%d\nsender=a@example\ninstance=1.%d\n%s\n", addr, i, i, more))
		}
		if addr != "nonsense" {
			d.sendMail(addr)
		}
	}
	for protocol, frames := range hostileFrames() {
		for _, f := range frames {
			send(protocol, f)
		}
	}
	server.Fail(".", dnstest.Fault{Kind: dnstest.ServFail})
	send("memcache", "get starttls:8.9.9.9\r\n")
	d.logSessions()
	d.writeFile("deny.list", "192.0.2.4/33\n")
	d.hup <- syscall.SIGHUP
	d.waitUntil("the refused edit", func() bool { return d.scrape()[`ehlogate_list_degraded{list="deny"}`] == "1" })
}

// logSessions has the log of [logs] tell of all kinds of sessions.
func (d *daemon) logSessions() {
	d.t.Helper()
	var log string
	for series := range d.scrape() {
		if path, ok := strings.CutPrefix(series, "ehlogate_log_lines_total{source=\""); ok {
			log = strings.TrimSuffix(path, "\"}")
		}
	}
	f, err := os.OpenFile(log, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	logs, err := filepath.Glob("../../lists/maillog/testdata/sessions/*.log")
	if err != nil || len(logs) < 4 {
		d.t.Fatalf("%v, %v", logs, err)
	}
	lines := 0
	for _, name := range logs {
		text, err := os.ReadFile(name)
		if err == nil {
			_, err = f.Write(append(text, "Dec 31 00:00:00 mx postfix/smtpd[9]: connect from unknown[192.0.2.9]\n"...))
		}
		if err != nil {
			d.t.Fatal(err)
		}
		lines += bytes.Count(text, []byte("\n")) + 1
	}
	d.waitUntil("the log is read", func() bool {
		return d.scrape()[fmt.Sprintf("ehlogate_log_lines_total{source=%q}", log)] == fmt.Sprint(lines)
	})
}

// TestEverySeriesIsThereAtTheStart: a rate or an increase does not see the first event of a series that appears with it.
func TestEverySeriesIsThereAtTheStart(t *testing.T) {
	d, server := startFullDaemon(t)
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	atStart := d.scrape()
	if build := fmt.Sprintf(`ehlogate_build_info{goversion=%q,revision=%q,version=%q}`, runtime.Version(), gitRevision(), version); atStart[build] != "1" {
		t.Errorf("there is no %s", build)
	}
	labelName := regexp.MustCompile(`([a-z_0-9]+)="`)
	rows := 0
	for _, row := range regexp.MustCompile("(?m)^\\| (`ehlogate_[^|]*)\\| ([a-z_0-9, ]*)\\|").FindAllStringSubmatch(string(text), -1) {
		for _, metric := range regexp.MustCompile("ehlogate_[a-z_]+").FindAllString(row[1], -1) {
			rows++
			there := false
			for series := range atStart {
				name, labels, _ := strings.Cut(series, "{")
				if name != metric && strings.TrimSuffix(name, "_count") != metric {
					continue
				}
				there = true
				var names []string
				for _, l := range labelName.FindAllStringSubmatch(labels, -1) {
					names = append(names, l[1])
				}
				if want := strings.FieldsFunc(row[2], func(r rune) bool { return r == ' ' || r == ',' }); !sameWords(names, want) {
					t.Errorf("%s has the labels %q, documented are %q", series, names, want)
				}
			}
			if !there {
				t.Errorf("there is no %s at the start", metric)
			}
		}
	}
	if rows < 25 {
		t.Errorf("only %d documented metrics", rows)
	}
	useEverything(d, server)
	changed := 0
	for series, value := range d.scrape() {
		before, ok := atStart[series]
		if !ok && !strings.HasPrefix(series, "ehlogate_guard_committed") { // whose state is a label
			t.Errorf("%s %s was not there at the start", series, value)
		}
		if strings.Contains(series, "_total") && value != before {
			changed++
		}
	}
	if changed < 60 {
		t.Errorf("only %d counters changed: the test does not use everything", changed)
	}
}

func sameWords(a, b []string) bool {
	count := make(map[string]int)
	for _, w := range a {
		count[w]++
	}
	for _, w := range b {
		count[w]--
	}
	for _, n := range count {
		if n != 0 {
			return false
		}
	}
	return true
}

// TestNewListHasSeries: the series of a list that a reload adds are there from the next scrape on.
func TestNewListHasSeries(t *testing.T) {
	d := startDaemon(t, denyList, map[string]string{"deny.list": "192.0.2.1\n", "late.list": "192.0.2.2\n"})
	const late = `ehlogate_decisions_total{action="suppress",list="late",protocol="memcache"}`
	if _, ok := d.scrape()[late]; ok {
		t.Fatal("a list that is not there has series")
	}
	conf, err := os.ReadFile(d.dir + "/c.toml")
	if err != nil {
		t.Fatal(err)
	}
	d.writeFile("c.toml", string(conf)+strings.ReplaceAll(denyList, "deny", "late"))
	d.hup <- syscall.SIGHUP
	d.waitUntil("the reload", func() bool { return strings.Contains(d.log.String(), "config reloaded") })
	if got := d.scrape()[late]; got != "0" {
		t.Errorf("got %q", got)
	}
}

// TestRefusedEditRaisesALastingAlarm: /healthz stays 200, since the daemon answers, and says since when; the metrics say so
// until the edit is mended.
func TestRefusedEditRaisesALastingAlarm(t *testing.T) {
	d := startDaemon(t, denyList, map[string]string{"deny.list": "192.0.2.1\n"})
	well := func() bool {
		s := d.scrape()
		return s[`ehlogate_list_degraded{list="deny"}`] == "0" && s[`ehlogate_list_fault_timestamp_seconds{list="deny"}`] == "0" && s["ehlogate_config_degraded"] == "0" &&
			s["ehlogate_config_fault_timestamp_seconds"] == "0" && s[`ehlogate_list_unavailable{list="deny"}`] == "0"
	}
	if !well() {
		t.Fatalf("at the start: %v", d.scrape())
	}
	began := time.Now()
	good, err := os.ReadFile(d.dir + "/c.toml")
	if err != nil {
		t.Fatal(err)
	}
	d.writeFile("deny.list", "192.0.2.1/33\n")
	d.waitUntil("the first refusal", func() bool { return strings.Contains(d.log.String(), "list reload failed") })
	d.writeFile("c.toml", "nonsense = 1\n")
	d.hup <- syscall.SIGHUP
	d.waitUntil("the refused reload", func() bool { return d.scrape()["ehlogate_config_degraded"] == "1" })
	first := d.scrape()
	for _, series := range []string{`ehlogate_list_fault_timestamp_seconds{list="deny"}`, "ehlogate_config_fault_timestamp_seconds"} {
		var at float64
		if _, err := fmt.Sscan(first[series], &at); err != nil || at < float64(began.Unix()) || at > float64(time.Now().Unix()+1) {
			t.Errorf("%s %s, began at %d", series, first[series], began.Unix())
		}
	}
	// Another refused edit does not begin the time anew.
	d.writeFile("deny.list", "192.0.2.1/34\n")
	d.waitUntil("the second refusal", func() bool { return d.scrape()[`ehlogate_list_reload_failures_total{list="deny"}`] == "2" })
	if got := d.scrape(); got[`ehlogate_list_fault_timestamp_seconds{list="deny"}`] != first[`ehlogate_list_fault_timestamp_seconds{list="deny"}`] {
		t.Error("the second refusal hides since when the list is degraded")
	}
	code, body := d.getHTTP("/healthz")
	for _, want := range []string{`"status": "degraded"`, `"state": "degraded"`, `"since": "2`, `"config_error_since": "2`} {
		if code != 200 || !strings.Contains(body, want) {
			t.Errorf("/healthz: %d, no %s in %s", code, want, body)
		}
	}
	if _, body := d.getHTTP("/api/v1/lists"); !strings.Contains(body, `"state": "degraded"`) {
		t.Errorf("/api/v1/lists: %s", body)
	}
	d.writeFile("deny.list", "192.0.2.1\n")
	d.writeFile("c.toml", string(good))
	d.hup <- syscall.SIGHUP
	testenv.Eventually(t, "all is well again", well)
}
