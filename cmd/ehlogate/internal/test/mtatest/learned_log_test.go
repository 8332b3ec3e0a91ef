package mtatest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"ehlogate/lists/test/testenv"
)

// The sessions of clients in the log of a Postfix; CLIENT is the client.
var (
	failedTLS = []string{"connect from CLIENT", "SSL_accept error from CLIENT: -1", "warning: TLS library problem: error:0A0000C1:SSL routines::no shared cipher:../ssl/x.c:1:",
		"lost connection after STARTTLS from CLIENT", "disconnect from CLIENT ehlo=1 starttls=0/1 commands=1/2"}
	completedTLS = []string{"connect from CLIENT", "Anonymous TLS connection established from CLIENT: TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)",
		"disconnect from CLIENT ehlo=2 starttls=1 mail=1 rcpt=1 data=1 quit=1 commands=7"}
	deliveredInClear = []string{"connect from CLIENT", "disconnect from CLIENT ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands=5"}
)

// learnedNumbers make lists learn in seconds what takes them hours.
const learnedNumbers = `[fallback]
spacing = "1s"
span = "2s"
observe_for = "1s"
breaker_span = "1s"
breaker_clients = 1000
breaker_share = 1.0
rest = "1s"
watch = []
`

// learningLog is a log of Postfix, written by a test, from which lists learn.
type learningLog struct {
	path string

	mu  sync.Mutex
	now time.Time // as the log has it
}

// countsAfter is more than the time after its end at which a session counts, by the clock of the log.
const countsAfter = 61 * time.Second

func newLearningLog(path string, begin time.Time) (*learningLog, error) {
	return &learningLog{path: path, now: begin}, os.WriteFile(path, nil, 0o644)
}

// write adds a session of each client, and a later line, by which they count.
func (l *learningLog) write(lines []string, clients ...string) error {
	return l.writeAll(sessionsOf{lines, clients})
}

// sessionsOf are sessions of some clients that are alike.
type sessionsOf struct{ lines, clients []string }

// writeAll is write for several kinds of sessions at once, from which a daemon learns at the same time.
func (l *learningLog) writeAll(all ...sessionsOf) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now = l.now.Add(2 * time.Second)
	text := ""
	for _, s := range all {
		text += formatSessions(l.now, s.lines, s.clients...)
	}
	l.now = l.now.Add(countsAfter)
	return appendText(l.path, text+formatSessions(l.now, []string{"connect from unknown[198.51.100.9]"}, ""))
}

// awaitReading waits until a daemon reads its log, which it does from the end on, as the state that it keeps of it shows.
func awaitReading(ctx context.Context, state string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return testenv.Await(ctx, func() (bool, error) {
		text, err := os.ReadFile(state)
		return err == nil && strings.Contains(string(text), ".log"), nil
	})
}

// formatSessions returns the lines of sessions. Each client has a verified name in a domain of its own.
func formatSessions(at time.Time, lines []string, clients ...string) string {
	var b strings.Builder
	for _, client := range clients {
		name := "mx.client" + strings.ReplaceAll(client, ".", "-") + ".example[" + client + "]"
		for _, line := range lines {
			fmt.Fprintf(&b, "%s mx postfix/smtpd[2]: %s\n", at.UTC().Format("2006-01-02T15:04:05-07:00"), strings.ReplaceAll(line, "CLIENT", name))
		}
	}
	return b.String()
}

func appendText(path, text string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(text)
	return err
}

// learnedClient is what a daemon has learned of a client.
type learnedClient struct {
	Fallback struct {
		Entry *struct {
			State string
			Made  time.Time
			Until time.Time
		}
		Evidence   []any
		NotLearned []string `json:"not_learned"`
		Immune     string
	}
	Earned struct {
		Earned    bool
		NotEarned []string `json:"not_earned"`
	}
}

// isLive reports whether the client has an entry that lives.
func (c *learnedClient) isLive() bool {
	return c.Fallback.Entry != nil && c.Fallback.Entry.State == "live"
}

// learning is a daemon that learns, by the address of its HTTP interface.
type learning string

// get decodes a page, whatever its status.
func (l learning) get(ctx context.Context, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+string(l)+path, nil)
	if err != nil {
		return err
	}
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("%s: %w: %s", path, err, body)
	}
	return nil
}

func (l learning) client(ctx context.Context, addr string) (c learnedClient, err error) {
	return c, l.get(ctx, "/api/v1/learned/"+addr, &c)
}

// learnedHealth is what /healthz tells of what is learned.
type learnedHealth struct {
	State, Error, Breaker, Aside string
	Enforces                     bool
	Followed                     float64 `json:"followed_seconds"`
}

func (l learning) health(ctx context.Context) (learnedHealth, error) {
	var h struct{ Learned learnedHealth }
	err := l.get(ctx, "/healthz", &h)
	return h.Learned, err
}

// awaitClient waits until what was learned of a client is as it ought to be; what is that in words.
func (l learning) awaitClient(ctx context.Context, addr, what string, is func(*learnedClient) bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var c learnedClient
	if err := testenv.Await(ctx, func() (_ bool, err error) { c, err = l.client(ctx, addr); return err == nil && is(&c), nil }); err != nil {
		h, _ := l.health(context.Background())
		return fmt.Errorf("waiting until of %s %s: %w; it is %+v, %+v", addr, what, err, c, h)
	}
	return nil
}

// awaitHealth is awaitClient for the health.
func (l learning) awaitHealth(ctx context.Context, what string, is func(learnedHealth) bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var h learnedHealth
	if err := testenv.Await(ctx, func() (_ bool, err error) { h, err = l.health(ctx); return err == nil && is(h), nil }); err != nil {
		return fmt.Errorf("waiting until %s: %w; it is %+v", what, err, h)
	}
	return nil
}

// awaitSpacing waits until the next failure of a client may be evidence.
func (l learning) awaitSpacing(ctx context.Context) error {
	before, err := l.health(ctx)
	if err != nil {
		return err
	}
	return l.awaitHealth(ctx, "the next failure may count", func(h learnedHealth) bool { return h.Followed > before.Followed+1 })
}
