package mtatest_test

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/maillog"
	"ehlogate/lists/test/testenv"
)

// TestLogClasses plays each way of TLS to each mail server, and has each session judged by the log that the server writes.
func TestLogClasses(t *testing.T) {
	testenv.Needs(t, "root", "Postfix", "Sendmail", "Exim")
	t.Parallel()
	servers := slices.Concat(startLoggingPostfix(t), startLoggingSendmail(t), startLoggingExim(t))
	rows := allWays()
	var group errgroup.Group
	for _, s := range servers {
		group.Go(func() error { return s.playAll(t, rows) })
	}
	_ = group.Wait()
	tab := newClassTable(t, rows)
	for _, s := range servers {
		if s.idle != nil {
			s.idle()
		}
		sessions, stats := readSessions(t, s)
		if stats.Unframed > 0 || stats.Unclear > 0 || stats.Orphans > 0 && s.name != logSMTPD && s.name != logScreen {
			t.Errorf("%s: lines were not used: %+v\n%s", s.name, stats, s.log.Tail(30))
		}
		if isBroken := slices.ContainsFunc(brokenPorts, func(name string) bool { return s.ports[name] != "" }); isBroken != (stats.Local > 0) {
			t.Errorf("%s: %d lines say that TLS does not work, want some: %v\n%s", s.name, stats.Local, isBroken, s.log.Tail(30))
		}
		for i := range rows {
			if _, ok := s.ports[rows[i].port]; !ok {
				continue
			}
			got, want := verdictOf(sessions[s.client(i)]), rows[i].wantOf(s.name)
			if !tab.add(i, s.name, got, want) {
				t.Errorf("%s, %s: got %q, want %q\n%s", s.name, rows[i].name, got, want, linesOf(t, s.log.Path(), s.client(i)))
			}
		}
	}
}

// brokenPorts are those of which the server says, in a line without a client, that it cannot do TLS.
var brokenPorts = []string{"nocert", "badcert", "nokey", "otherkey"}

// client returns the address of the client that goes a way.
func (s *logging) client(way int) string { return fmt.Sprintf("127.%d.%d.1", s.network, way) }

// playAll plays all ways for which the server has a port.
func (s *logging) playAll(t *testing.T, rows []way) error {
	var group errgroup.Group
	group.SetLimit(s.atOnce)
	for i, w := range rows {
		if _, ok := s.ports[w.port]; !ok {
			continue
		}
		group.Go(func() error {
			for _, acts := range append([][]act{w.play}, w.others...) {
				if err := s.play(t, w.port, s.client(i), acts); err != nil {
					t.Errorf("%s, %s: %v", s.name, w.name, err)
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// play plays one session, and waits until the log has its end, if it will have one.
func (s *logging) play(t *testing.T, port, client string, acts []act) error {
	c, err := mtatest.Dial(t.Context(), s.ports[port], client)
	if err != nil {
		return err
	}
	for i, do := range acts {
		if turn := s.turns[port]; i == 1 && turn != nil {
			turn.Lock()
			defer turn.Unlock()
		}
		if err := do(c); err != nil {
			c.Close()
			return fmt.Errorf("step %d: %w", i+1, err)
		}
	}
	c.Close()
	if s.ended != nil {
		s.ended(client)
	}
	return nil
}

// readSessions returns the sessions of a server's log, by client, and what was counted.
func readSessions(t *testing.T, server *logging) (sessions map[string][]*maillog.Session, stats maillog.Stats) {
	t.Helper()
	text, err := os.ReadFile(server.log.Path())
	if err != nil {
		t.Fatal(err)
	}
	if server.usual != nil {
		text = []byte(server.usual.Replace(string(text)))
	}
	sessions = map[string][]*maillog.Session{}
	r := maillog.NewReader(maillog.Options{}, func(s *maillog.Session) {
		kept := *s
		sessions[s.Addr.String()] = append(sessions[s.Addr.String()], &kept)
	})
	for line := range bytes.Lines(text) {
		r.Read(bytes.TrimRight(line, "\n"))
	}
	r.Flush()
	return sessions, r.Stats()
}

// verdictOf returns what the log says of sessions: of each the state of TLS, class, outcome and mail, as far as there are any.
func verdictOf(sessions []*maillog.Session) string {
	var all []string
	for _, s := range sessions {
		words := []string{s.TLS.String(), s.Class.String(), s.Outcome.String()}
		if s.Mail != maillog.MailNone {
			words = append(words, s.Mail.String())
		}
		all = append(all, strings.Join(slices.DeleteFunc(words, func(word string) bool { return word == "" }), " "))
	}
	return strings.Join(all, "; ")
}

// linesOf returns the lines of a log about a client: those that name it, and between them warnings of the same processes.
func linesOf(t *testing.T, path, client string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
	}
	lines := strings.Split(string(text), "\n")
	names := func(line string) bool { return strings.Contains(line, "["+client+"]") }
	tag := regexp.MustCompile(`\S+\[\d+\]: `)
	end, tags := 0, map[string]bool{}
	for i, line := range lines {
		if names(line) {
			end, tags[tag.FindString(line)] = i+1, true
		}
	}
	var found []string
	for _, line := range lines[max(slices.IndexFunc(lines, names), 0):end] {
		if names(line) || tags[tag.FindString(line)] && strings.Contains(line, "warning: ") {
			found = append(found, "\t"+line)
		}
	}
	return strings.Join(found, "\n")
}

// classTable has the verdicts on all ways, for the log and the documentation.
type classTable struct {
	rows   []way
	got    []verdicts // by way
	played int        // sessions
	wrong  int
}

// classColumns are the servers in the order of the table.
var classColumns = []string{logSMTPD, logScreen, logSendmail, logExim, logEximDefault}

func newClassTable(t *testing.T, rows []way) *classTable {
	tab := &classTable{rows: rows, got: make([]verdicts, len(rows))}
	t.Cleanup(func() { t.Log("\n" + tab.markdown()) })
	tables.Lock()
	defer tables.Unlock()
	tables.all = append(tables.all, tab)
	return tab
}

// add takes a verdict, and reports whether it is right.
func (tab *classTable) add(way int, server, got, want string) bool {
	if tab.got[way] == nil {
		tab.got[way] = verdicts{}
	}
	tab.got[way][server] = got
	tab.played += 1 + len(tab.rows[way].others)
	right := slices.Contains(strings.Split(want, " | "), got)
	if !right {
		tab.wrong++
	}
	return right
}

// markdown has a row for each way, and the counts.
func (tab *classTable) markdown() string {
	var b strings.Builder
	b.WriteString("### What the log says of each session\n\n" +
		"Each row is what a client did. Each cell has class, outcome and mail of its sessions, as `ehlogate replay --sessions` reads\n" +
		"them in the log of the real server: \"same\" as in that of Postfix, or \"-\" if it has no line. A server whose cell is empty\n" +
		"has no such configuration.\n\n")
	fmt.Fprintf(&b, "| Client | %s |\n|---%s|\n", strings.Join(classColumns, " | "), strings.Repeat("|---", len(classColumns)))
	for i, row := range tab.rows {
		fmt.Fprintf(&b, "| %s |", row.name)
		for _, server := range classColumns {
			got, ok := tab.got[i][server]
			switch {
			case ok && server != logSMTPD && got == tab.got[i][logSMTPD]:
				got = "same"
			case ok:
				got = cmp.Or(withoutState(got), "-")
			}
			fmt.Fprintf(&b, " %s |", got)
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "\n%d ways, %d sessions, %d misjudged\n", len(tab.rows), tab.played, tab.wrong)
	return b.String()
}

// withoutState returns a verdict without the state of TLS, which class and outcome imply.
func withoutState(verdict string) string {
	var all []string
	for one := range strings.SplitSeq(verdict, "; ") {
		_, rest, _ := strings.Cut(one, " ")
		all = append(all, rest)
	}
	return strings.Join(all, "; ")
}
