package page

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ehlogate/cmd/ehlogate/internal/learn"
	"ehlogate/cmd/ehlogate/internal/listedit"
	"ehlogate/lists"
	"ehlogate/lists/earned"
	"ehlogate/lists/fallback"
	"ehlogate/lists/maillog"
)

// playDay has mail servers ask, hour by hour.
func (d *daemon) playDay(now time.Time) {
	decider := d.recorder.LoggedDecider("memcache", d.manager)
	for hour := range chartHours {
		at := now.Add(time.Duration(hour-chartHours+1) * time.Hour)
		d.recorder.Hours(at, 1)
		sessions := 20 + 4*min(hour, chartHours-hour) + 9*(hour%3)
		for i := range sessions {
			addr := fmt.Sprintf("198.51.100.%d", i%60)
			switch {
			case i%9 == 0:
				addr = fmt.Sprintf("192.0.2.%d", i%14+1)
			case i%17 == 0:
				addr = "192.0.2.70"
			case i%31 == 0:
				addr = "203.0.113.9"
			}
			decider.Decide(d.Context(), lists.Client{Addr: netip.MustParseAddr(addr)})
		}
		d.recorder.Hours(at, 1)
	}
}

// mailLog is a log of Postfix with clients that fail.
func mailLog(at time.Time) string {
	var b strings.Builder
	say := func(text string, args ...any) {
		fmt.Fprintf(&b, "%s mx postfix/smtpd[2]: %s\n", at.UTC().Format("2006-01-02T15:04:05-07:00"), fmt.Sprintf(text, args...))
	}
	for i, failure := range []struct {
		client, reason string
		times          int
	}{
		{"mailer.shop.example[203.0.113.20]", "error:0A000102:SSL routines::unsupported protocol:../ssl/x.c:1:", 6},
		{"mailer2.shop.example[203.0.113.21]", "error:0A000102:SSL routines::unsupported protocol:../ssl/x.c:1:", 2},
		{"printer.example.org[192.0.2.7]", "error:0A0000C1:SSL routines::no shared cipher:../ssl/x.c:1:", 3},
		{"relay.bank.example[203.0.113.40]", "error:0A000418:SSL routines::tlsv1 alert unknown ca:../ssl/x.c:1:SSL alert number 48:", 1},
	} {
		for range failure.times {
			at = at.Add(time.Duration(i+2) * time.Minute)
			say("connect from %s", failure.client)
			say("SSL_accept error from %s: -1", failure.client)
			say("warning: TLS library problem: %s", failure.reason)
			say("lost connection after STARTTLS from %s", failure.client)
			say("disconnect from %s ehlo=1 starttls=0/1 commands=1/2", failure.client)
		}
	}
	at = at.Add(5 * time.Minute)
	say("connect from unknown[198.51.100.9]")
	return b.String()
}

// editLists notes edits of lists, as "ehlogate list" does.
func (d *daemon) editLists(now time.Time) {
	d.Helper()
	journal := listedit.Journal{Path: filepath.Join(d.dir, "edits.jsonl")}
	file := filepath.Join(d.dir, "deny.list")
	for _, e := range []listedit.Record{
		{Time: now.Add(-50 * time.Hour), User: "anna", Command: "add", List: "deny", File: file, Reason: "scans us", Added: 1,
			Hunks: []listedit.Hunk{{Line: 2, After: []string{"203.0.113.9    # since 2026-11-20"}}}},
		{Time: now.Add(-4 * time.Hour), User: "bernd", Command: "rm", List: "deny", File: file, Cut: 1, Hunks: []listedit.Hunk{{Line: 3, Before: []string{"203.0.113.77"}}}},
		{Time: now.Add(-3 * time.Hour), User: "anna", Command: "undo", List: "deny", File: file, Undoes: 2, Added: 1, Hunks: []listedit.Hunk{{Line: 3, After: []string{"203.0.113.77"}}}},
	} {
		if err := journal.Around(&e, func() error { return nil }); err != nil {
			d.Fatal(err)
		}
	}
}

// learnClients makes the file of lists that learn, with a client that cannot do TLS, one that failed once, and one that earned
// an offer.
func learnClients(t testing.TB, path string) {
	begun, class := time.Now().Add(-time.Hour), maillog.FailureClasses()[0]
	for _, c := range maillog.FailureClasses() {
		if c.String() == "no-shared-cipher" {
			class = c
		}
	}
	synctest.Test(t.(*testing.T), func(t *testing.T) {
		f, e, zero := fallback.Defaults(), earned.Defaults(), time.Now()
		f.Suppress, f.Spacing, f.Span, e.Days, e.Sessions = true, time.Second, 2*time.Second, 1, 2
		clock := func() time.Time { return begun.Add(time.Since(zero)) }
		s := learn.New(learn.Options{State: path, Fallback: &f, Earned: &e, ObserveFor: time.Second}, learn.Environment{
			Clock: clock, Monotonic: func() time.Duration { return time.Since(zero) }, IsFollowed: func() bool { return true },
			Standing: func(lists.Client) fallback.Standing { return fallback.StandingNone }, Notify: func(learn.Event) {},
		}, nil)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); s.Run(ctx) }()
		add := func(addr, name string, failed bool) {
			session := &maillog.Session{Time: clock(), End: clock(), Service: maillog.ServiceSMTP, Addr: netip.MustParseAddr(addr), Name: name, Complete: true,
				TLS: maillog.TLSOK, Version: "TLSv1.3", Mail: maillog.MailAccepted, Messages: 1}
			if failed {
				session.TLS, session.Outcome, session.Class, session.Mail, session.Messages, session.Version = maillog.TLSFailed, maillog.OutcomeIncapable, class, maillog.MailNone, 0, ""
				session.Line = "postfix/smtpd[2]: warning: TLS library problem: error:0A0000C1:SSL routines::no shared cipher:../ssl/x.c:1: <script>alert(1)</script>"
			}
			s.Add(session)
		}
		add("203.0.113.33", "oldmail.example", true)
		for range 4 {
			time.Sleep(3 * time.Second)
			add("192.0.2.7", "printer.example.org", true)
			add("198.51.100.25", "mx.newsletter.example", false)
		}
		time.Sleep(3 * time.Second)
		cancel()
		<-done
	})
}
