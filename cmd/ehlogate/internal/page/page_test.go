package page

import (
	"context"
	"fmt"
	"math"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/telemetry"
	"ehlogate/lists"
	"ehlogate/lists/test/hostile"
	"ehlogate/lists/test/testenv"
)

// maxPage is how large a page may be.
const maxPage = 1 << 20

// The page shows all that there is, also what others wrote, which changes nothing else of it.
func TestFullPage(t *testing.T) {
	d := startFull(t)
	body := d.get("/?client=192.0.2.7").Body.String()
	for _, want := range []string{
		`<title>Degraded: `, "List &#34;printers&#34; is degraded: ", "invalid prefix length", "Mend the file until", // health
		"192.0.2.7: suppress", "<dt>note</dt><dd>scanners in the guest network</dd>", "no-shared-cipher x3 (incapable)", "no shared cipher:../ssl/x.c:1: &lt;script&gt;", "Postfix hides STARTTLS",
		`>1,272</dd>`, `aria-label="Sessions by hour: 1,272 sessions, STARTTLS hidden in 245"`, "82 sessions, STARTTLS hidden in 16</title>", // sessions
		"STARTTLS was hidden in 200 sessions in the last hour.", "/printers.list:1</td><td>the printer on the third floor speaks TLS 1.0</td><td class=\"code\">192.0.2.70</td><td class=\"number\">51</td>", // lines
		"7 lists with 9 entries.", "<div>expires in 29 h</div>", "suppress (observes)", "hide chunking", "learned: earned", // lists
		`<th scope="row">bl.test</th><td><span class="state ok">enabled</span>`,                                            // zones
		"203.0.113.20 (mailer.shop.example) ×6", "they speak old versions of TLS only", "mend your certificate", "61</td>", // logs
		"printer.example.org", "198.51.100.25", "a handshake that it completes", "oldmail.example", // learned
		"Inactive: no domain is committed to STARTTLS.", ">open</span>", // guard, limit
		"bernd", "− 203.0.113.77", "undo deny<div>of edit 2</div>", "+ 203.0.113.9 ", "scans us", // edits
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the page has no %q", want)
		}
	}
	if err := hostile.Check(body); err != nil {
		t.Error(err)
	}
	d.writeHostile()
	body = d.get("/?client=203.0.113.66").Body.String()
	if err := hostile.Check(body); err != nil {
		t.Error(err)
	}
	for _, text := range markup {
		if strings.ContainsAny(text, "<>'\"") && strings.Contains(body, text) {
			t.Errorf("the page has %q as it is", text)
		}
	}
	if n := strings.Count(body, "<script"); n > 0 || !strings.Contains(body, "&lt;script&gt;alert(1)&lt;/script&gt;") || len(body) > maxPage {
		t.Errorf("%d scripts, %d bytes", n, len(body))
	}
}

// What a browser may do with the page is bounded, and so is which request gets it.
func TestRequests(t *testing.T) {
	d := startDaemon(t, "# nothing\n", nil)
	for _, tc := range []struct {
		method, url string
		code        int
		want        string
	}{
		{"GET", "http://127.0.0.1/", 200, "All is well"},
		{"HEAD", "http://[::1]:10045/", 200, ""},
		{"GET", "http://localhost:10045/?client=192.0.2.1", 200, "192.0.2.1: offer"},
		{"GET", "http://localhost/?client=+2001:db8::1+", 200, "2001:db8::1: offer"},
		{"GET", "http://localhost/?client=", 200, "Not in use: lists, DNS lists, [logs], lists that learn, [guard], [limit]."},
		{"GET", "http://localhost/?client=mail.example.org", 400, "names are not looked up"},
		{"GET", "http://localhost/?client=%zz", 400, "invalid URL escape"},
		{"GET", "http://localhost/?client=192.0.2.1&client=192.0.2.2", 400, "or more than one"},
		{"GET", "http://localhost/?addr=192.0.2.1", 200, "192.0.2.1: offer"}, // as in the API
		{"GET", "http://localhost/?addr=192.0.2.1&client=192.0.2.1", 400, "or more than one"},
		{"GET", "http://localhost/?ip=192.0.2.1", 400, "unknown parameter ip"},
		{"GET", "http://localhost/?%3Cscript%3E=1", 400, "unknown parameter &lt;script&gt;"},
		{"GET", "http://localhost/index.html", 404, "not found"},
		{"POST", "http://localhost/", 405, ""},
		{"GET", "http://evil.example/", 421, "not known as evil.example"}, // DNS rebinding
	} {
		w := httptest.NewRecorder()
		d.handler.ServeHTTP(w, httptest.NewRequest(tc.method, tc.url, nil))
		if w.Code != tc.code || !strings.Contains(w.Body.String(), tc.want) {
			t.Errorf("%s %s: %d, want %d and %q in %s", tc.method, tc.url, w.Code, tc.code, tc.want, w.Body)
		}
		if w.Code != 200 && w.Code != 400 {
			continue
		}
		for name, want := range map[string]string{
			"Content-Security-Policy": "default-src 'none'; style-src 'sha256-", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
			"Cache-Control": "no-store", "Content-Type": "text/html; charset=utf-8", "Cross-Origin-Resource-Policy": "same-origin",
		} {
			if got := w.Header().Get(name); !strings.HasPrefix(got, want) {
				t.Errorf("%s: %s is %q", tc.url, name, got)
			}
		}
		if policy := w.Header().Get("Content-Security-Policy"); !strings.Contains(policy, "frame-ancestors 'none'") || strings.Contains(policy, "unsafe") {
			t.Errorf("the policy is %s", policy)
		}
	}
}

// Passwords that are sent in the clear are a fault, with what to do, and no note below "All is well".
func TestExposedClient(t *testing.T) {
	d := startDaemon(t, "# nothing\n", nil)
	d.recorder.Outcomes("policy")(lists.OutcomeSubmission, lists.Client{Addr: netip.MustParseAddr("192.0.2.9")}, lists.Decision{})
	body := d.get("/").Body.String()
	for _, want := range []string{"<title>Degraded: ", "STARTTLS is hidden from 192.0.2.9, which submitted mail without TLS: passwords are sent in the clear (sessions: 1)",
		"set smtpd_discard_ehlo_keyword_address_maps in master.cf"} {
		if strings.Count(body, want) != 1 {
			t.Errorf("the page has not once %q", want)
		}
	}
	if strings.Contains(body, "Worth a look") || strings.Contains(body, "All is well") {
		t.Errorf("the page takes it for no fault: %s", body)
	}
}

// With 10,000 lists, most of them without a file, the page is bounded, begins with what is wrong, and says what it left out.
func TestManyLists(t *testing.T) {
	n := 10_000
	if testenv.Race { // reading the config takes ten times as long
		n = 1_000
	}
	var conf strings.Builder
	good := 0
	for i := range n {
		file := fmt.Sprintf("%s%d.list", strings.Repeat("<&'", 4), i)
		if i%200 == 0 {
			file = "good.list"
			good++
		}
		fmt.Fprintf(&conf, "[[list]]\nname = \"list%d\"\naction = \"suppress\"\nfiles = [%q]\n", i, file)
	}
	d := startDaemon(t, conf.String(), map[string]string{"good.list": "192.0.2.1  # " + strings.Repeat("<&\"", 1000) + "\n"})
	w := d.get("/?client=192.0.2.1")
	body := w.Body.String()
	if w.Code != 200 || len(body) > maxPage {
		t.Errorf("%d, %d bytes", w.Code, len(body))
	}
	for _, want := range []string{"Something is unavailable", fmt.Sprintf("and %d more", n-good-maxReasons),
		fmt.Sprintf("%s lists with %s. The %s with faults come first.", groupDigits(n), describeEntries(good), groupDigits(n-good)),
		fmt.Sprintf("and %d more", n-maxRows), `<th scope="row">list1</th>`, "192.0.2.1: suppress"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page has no %q", want)
		}
	}
	if strings.Contains(body, `<th scope="row">list0</th>`) {
		t.Error("a list without a fault stands before one with a fault")
	}
}

// Whatever the tables have, the page stays in its bounds: rows for which there is no space are counted.
func TestBudget(t *testing.T) {
	v := &view{left: maxPageText}
	var tables []*table
	markup, invisible := strings.Repeat("<", 64<<10), strings.Repeat("\u202e\"", 64<<10)
	for range 10 {
		x := newTable("x", "a", "b")
		for range 2 * maxRows {
			v.add(x, cell{Text: markup}, cell{Lines: []string{invisible}})
		}
		tables = append(tables, x)
	}
	rows, more := 0, 0
	for _, x := range tables {
		rows, more = rows+len(x.Rows), more+x.More
	}
	if rows+more != 10*2*maxRows || rows == 0 || v.left < 0 || len(tables[0].Rows) != maxRows || len(tables[0].Rows[0][0].Text) > maxCell || len(tables[0].Rows[0][1].Lines[0]) > maxCell {
		t.Errorf("%d rows, and %d more; %d bytes left", rows, more, v.left)
	}
	if v.say("%s", strings.Repeat("<", maxText)); v.left < 0 {
		t.Errorf("%d bytes left", v.left)
	}
}

// A journal of edits that cannot be read costs no page, and a file system that does not respond costs one goroutine.
func TestJournalFaults(t *testing.T) {
	testenv.Needs(t, "root")
	dir, release := testenv.HungDir(t)
	d := startDaemon(t, "[edits]\njournal = \"DIR/edits.jsonl\"\n", nil)
	hung := startDaemon(t, fmt.Sprintf("[edits]\njournal = %q\n", filepath.Join(dir, "edits.jsonl")), nil)
	get := func() string { return d.get("/").Body.String() }
	if body := get(); strings.Contains(body, "Last edits") {
		t.Error("there is no journal")
	}
	path := filepath.Join(d.dir, "edits.jsonl")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if body := get(); !strings.Contains(body, "it is no file") {
		t.Errorf("a named pipe: %s", body)
	}
	for range 2 {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		w := httptest.NewRecorder()
		hung.handler.ServeHTTP(w, httptest.NewRequest("GET", "http://127.0.0.1/", nil).WithContext(ctx))
		cancel()
		if !strings.Contains(w.Body.String(), "the file system does not respond") || !strings.Contains(w.Body.String(), "All is well") {
			t.Errorf("a file system that hangs: %s", w.Body)
		}
	}
	release()
	testenv.Eventually(t, "the goroutine ends", func() bool { return len(hung.page.edits.slot) == 0 })
}

// Pages that are made at a time are few; others wait, and are told so.
func TestBusy(t *testing.T) {
	d := startDaemon(t, "# nothing\n", nil)
	for range maxPages {
		d.page.slots <- struct{}{}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, httptest.NewRequest("GET", "http://127.0.0.1/", nil).WithContext(ctx))
	if w.Code != 503 {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

// Of a long journal the last edits are shown, however long a line is, and lines that are none are left out.
func TestReadTail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "edits.jsonl")
	line := func(i int) string {
		return fmt.Sprintf(`{"number":%d,"time":"2026-11-29T07:00:00Z","user":"u%d"}`+"\n", i+1, i)
	}
	var b strings.Builder
	for i := range 10_000 {
		b.WriteString(line(i))
	}
	b.WriteString(`{"number":9999,"time":"2026-11-29T07:00:00Z","user":"` + strings.Repeat("x", maxJournalTail/2) + "\"}\n" + line(10_000) + `{"number":1,"time":"2026-1`) // being written
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	edits, err := newEditReader().read(t.Context(), path)
	if err != nil || len(edits) != maxEdits || edits[0].User != "u10000" || len(edits[1].User) != maxJournalTail/2 || edits[2].User != "u9999" {
		t.Errorf("%d edits, %v: %.200v", len(edits), err, edits)
	}
}

// Edits before the journal was renamed are shown, too.
func TestRenamedJournal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "edits.jsonl")
	for i, name := range []string{path + ".1", path} {
		if err := os.WriteFile(name, fmt.Appendf(nil, "{\"number\":%d}\n", i+1), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if edits, err := newEditReader().read(t.Context(), path); err != nil || len(edits) != 2 || edits[0].Number != 2 || edits[1].Number != 1 {
		t.Errorf("%v, %v", edits, err)
	}
}

func FuzzParseEdits(f *testing.F) {
	f.Add([]byte(`{"number":1,"time":"2026-01-01T00:00:00Z","user":"a","command":"add","list":"deny","cut":0,"added":1,"hunks":[{"line":2,"after":["192.0.2.1"]}]}` + "\n"))
	f.Add([]byte("{}\n[]\nnull\n{\"number\":2,\"time\":\"2026-01-01T00:00:00Z\",\"hunks\":[null,{\"line\":-1,\"before\":[\"\",\"\",\"\",\"\",\"\",\"\"]}]}\n"))
	f.Fuzz(func(t *testing.T, tail []byte) {
		all := parseEdits(tail)
		if len(all) > maxEdits {
			t.Errorf("%d edits", len(all))
		}
		for i := range all {
			if n := len(describeChange(&all[i])); n > maxEditLines+1 {
				t.Errorf("%d lines", n)
			}
		}
	})
}

func TestDescribeAge(t *testing.T) {
	for d, want := range map[time.Duration]string{time.Hour: "60 min ago", -3 * time.Hour: "in 2 h", math.MinInt64: "in 106751 days"} {
		if got := describeAge(d); got != want {
			t.Errorf("%d: got %q, want %q", d, got, want)
		}
	}
}

// A chart of no session says so.
func TestEmptyChart(t *testing.T) {
	if c := newChart([]telemetry.Hour{{}, {}}); c.Most != "0" || c.Bars[0].Height != 0 {
		t.Errorf("got %+v", c)
	}
}
