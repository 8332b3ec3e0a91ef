package mtatest_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/test/testenv"
)

// configuration is one row of the table of configurations: a mail server that queries an ehlogate, with something about
// it that is not as in the examples.
//
// To add a row, append it to the rows of its server; to add a server, write a function that makes configurations of its
// rows, as postfixConfigurations does, and name it in allConfigurations. The rest is measured and judged here. A finding
// of doctor that no row had before needs its line in claims.
type configuration struct {
	server string // Postfix, Sendmail or Exim
	name   string // what is unusual
	// setUp starts the mail server and its ehlogate. Both must end with the test.
	setUp func(t *testing.T) *site
	// advice are the findings that say nothing about sessions, and are right here.
	advice []string
	// explicitOffer is the key explicit_offer of ehlogate, on which depends what some findings foretell.
	explicitOffer bool
	// inherent is the harm that the server does in every configuration by which it queries ehlogate.
	inherent []harm
}

// site is a mail server with its ehlogate, which measure hangs and kills. Its ehlogate must know the clients of a
// roster: it offers STARTTLS to allowed and to unlisted, suppresses denied, and requires TLS of strict if there is one. If there is a
// client legacy, it is on a legacy list.
type site struct {
	daemon  *mtatest.Daemon
	program string                       // the path of ehlogate
	doctor  []string                     // the arguments of doctor, for this mail server
	do      func(run func() error) error // runs a function where the server is (netns); nil: here
	env     []string                     // of doctor
	mail    []port                       // other mail servers deliver there
	login   []port                       // clients log in there: no list may matter
	clients map[string]string            // addresses by role: "denied", "allowed", "unlisted"; also "strict"
	bot     string                       // the HELO name of the suppressed client, if that is in the list too
	dir     string                       // where doctor runs; empty: here
	keeps   bool                         // the backup has the suppressed client
	waits   bool                         // waitsHung is measured
	accepts bool                         // the mail ports take mail, as all do but a postscreen that tests its clients
	// edit allows "edited", a client that is suppressed, and returns when that is in force; nil: it is not measured.
	edit func(t *testing.T)

	replies []string // what clients saw in a failure of ehlogate
}

// port is where a mail server listens.
type port struct {
	addr  string // host:port
	tls   bool   // TLS comes before SMTP
	proxy bool   // the PROXY protocol says which client it is
}

// allConfigurations returns the rows of all servers.
func allConfigurations() []configuration {
	return slices.Concat(postfixConfigurations(), sendmailConfigurations(), eximConfigurations())
}

// TestConfigurations compares what doctor says about each configuration with what the real server then does to its
// clients: while ehlogate answers, hangs and is down. A finding that does not come true is a false alarm; harm that no
// finding foretells is a miss. There must be neither.
func TestConfigurations(t *testing.T) {
	testenv.Needs(t, "root", "Postfix", "Sendmail", "Exim", "nft")
	t.Parallel()
	all := allConfigurations()
	tab := newConfigurationTable(t)
	// Most of the time is spent in waiting, so these do not count among the tests that run in parallel.
	const atOnce = 16
	var group errgroup.Group
	group.SetLimit(atOnce)
	wrong := make(chan int, len(all))
	for i, c := range all {
		group.Go(func() error {
			t.Run(c.server+"/"+c.name, func(t *testing.T) {
				if r := c.play(t, i); r.verdict.wrong() {
					wrong <- i
				} else {
					tab.add(r)
				}
			})
			return nil
		})
	}
	_ = group.Wait()
	close(wrong)
	if len(wrong) > len(all)/10 {
		t.Fatalf("%d of %d rows are wrong: that is no accident", len(wrong), len(all))
	}
	// Sixteen mail servers can keep a machine so busy that one is slow without being wrong. What is wrong alone is wrong.
	for i := range wrong {
		c := all[i]
		t.Run(c.server+"/"+c.name+", again", func(t *testing.T) {
			r := c.play(t, i)
			tab.add(r)
			if v := r.verdict; v.wrong() {
				t.Errorf("doctor says %q, and the server: %q\nfalse alarms: %q\nmisses: %q", r.said, r.did, v.falseAlarms, v.misses)
			}
		})
	}
}

// play sets up a configuration, asks doctor, measures what the server does, and judges.
func (c configuration) play(t *testing.T, number int) configurationRow {
	t.Helper()
	s := c.setUp(t)
	said := s.runDoctor(t, c)
	did := s.measure(t)
	r := configurationRow{number, c.server, c.name, said, did, compareClaims(c, said, did)}
	if r.verdict.wrong() {
		t.Logf("doctor says %q, and the server: %q\n%s", said, did, strings.Join(s.replies, "\n"))
	}
	return r
}

// runDoctor returns the names in claims of what doctor finds, each once.
func (s *site) runDoctor(t *testing.T, c configuration) (ids []string) {
	t.Helper()
	var out []byte
	run := func() (err error) {
		cmd := exec.CommandContext(soon(t), s.program, append([]string{"doctor", "--json"}, s.doctor...)...)
		cmd.Env, cmd.Dir = append(cmd.Environ(), s.env...), s.dir
		out, err = cmd.Output()
		return err
	}
	if s.do == nil {
		s.do = func(run func() error) error { return run() }
	}
	err := s.do(run)
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || len(out) == 0) {
		if exit != nil {
			t.Fatalf("doctor: %v\n%s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	var report struct{ Findings []advice }
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, f := range report.Findings {
		ids = append(ids, claimOf(f, c.explicitOffer))
		if testing.Verbose() {
			t.Logf("%s: %s", f.ID, f.What)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// verdict is how what doctor says compares with what the server does.
type verdict struct{ falseAlarms, misses []string }

func (v verdict) wrong() bool { return len(v.falseAlarms)+len(v.misses) > 0 }

// compareClaims compares the findings with the harm that was measured.
func compareClaims(c configuration, said []string, did []harm) (v verdict) {
	var foretold []harm
	for _, id := range said {
		harms, known := claims[id]
		switch {
		case !known:
			v.falseAlarms = append(v.falseAlarms, id+" is not in the table of claims")
		case len(harms) == 0 && !slices.Contains(c.advice, id):
			v.falseAlarms = append(v.falseAlarms, id)
		}
		for _, h := range harms {
			if foretold = append(foretold, h); !does(did, h) {
				v.falseAlarms = append(v.falseAlarms, fmt.Sprintf("%s: %s", id, h))
			}
		}
	}
	for _, h := range did {
		if !slices.Contains(foretold, h) && !slices.Contains(c.inherent, h) {
			v.misses = append(v.misses, string(h))
		}
	}
	for _, id := range c.advice {
		if !slices.Contains(said, id) {
			v.misses = append(v.misses, id)
		}
	}
	return v
}

// does reports whether harm was measured. What a server that refuses all mail would do later is not measured.
func does(did []harm, h harm) bool {
	return slices.Contains(did, h) || slices.Contains(did, failsNow) && (h == failsDown || h == failsHung)
}

// configurationTable collects the rows for the log and the documentation.
type configurationTable struct {
	mu   sync.Mutex
	rows []configurationRow
}

type configurationRow struct {
	number       int
	server, name string
	said         []string
	did          []harm
	verdict      verdict
}

func newConfigurationTable(t *testing.T) *configurationTable {
	tab := &configurationTable{}
	t.Cleanup(func() { t.Log("\n" + tab.markdown()) })
	tables.Lock()
	defer tables.Unlock()
	tables.all = append(tables.all, tab)
	return tab
}

func (tab *configurationTable) add(r configurationRow) {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	tab.rows = append(tab.rows, r)
}

// markdown has a row for each configuration, and the counts.
func (tab *configurationTable) markdown() string {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	slices.SortFunc(tab.rows, func(a, b configurationRow) int { return cmp.Compare(a.number, b.number) })
	var b strings.Builder
	alarms, misses := 0, 0
	b.WriteString("### What doctor says, and what the mail server does\n\n" +
		"Each row is a configuration of a real mail server. Clients that ehlogate suppresses, offers STARTTLS, does not know or\n" +
		"requires TLS of connect to it, while ehlogate answers, hangs and is down.\n\n" +
		"| Server | Configuration | doctor says | The server does harm: | Verdict |\n|---|---|---|---|---|\n")
	for _, r := range tab.rows {
		alarms, misses = alarms+len(r.verdict.falseAlarms), misses+len(r.verdict.misses)
		result := "right"
		if r.verdict.wrong() {
			result = fmt.Sprintf("**false alarms: %q, misses: %q**", r.verdict.falseAlarms, r.verdict.misses)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", r.server, strings.ReplaceAll(r.name, "|", `\|`), joinOr(r.said, "nothing"), joinOr(r.did, "none"), result)
	}
	fmt.Fprintf(&b, "\n%d configurations, %d false alarms, %d misses\n", len(tab.rows), alarms, misses)
	return b.String()
}

func joinOr[S ~string](list []S, none string) string {
	var words []string
	for _, s := range list {
		words = append(words, string(s))
	}
	return cmp.Or(strings.Join(words, "; "), none)
}

// patienceOfClient is the longest that a client waits for one reply. What ehlogate's examples cost is at most half of it. doctor
// says that waits of 5 s are long; the clock of the server may start a little before that of the client.
const patienceOfClient = 4500 * time.Millisecond
