package replay

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/maillog"
)

var start = time.Date(2026, 11, 28, 8, 0, 0, 0, time.UTC)

func newSession(client int, after time.Duration, tls maillog.TLS, outcome maillog.Outcome) *maillog.Session {
	return &maillog.Session{
		Time: start.Add(after), End: start.Add(after + time.Second), Service: maillog.ServiceSMTP, TLS: tls, Outcome: outcome,
		Addr: netip.AddrFrom4([4]byte{192, 0, byte(client >> 8), byte(client)}), Version: "TLSv1.3", Class: maillog.ClassOther,
	}
}

func adviceOf(sessions []*maillog.Session) string {
	t := NewTally()
	for _, s := range sessions {
		t.Add(s, &Verdict{})
	}
	return strings.Join(t.Report(maillog.Stats{}, 10).Advice, "\n")
}

// A certificate that breaks makes nearly all clients fail from then on. Clients that always failed, a few that begin to, or
// a log that begins with failures, are no outage.
func TestOutage(t *testing.T) {
	ok := func(client int, at time.Duration) *maillog.Session {
		return newSession(client, at, maillog.TLSOK, maillog.OutcomeTLSOK)
	}
	rejects := func(client int, at time.Duration) *maillog.Session {
		return newSession(client, at, maillog.TLSFailed, maillog.OutcomeCertRejected)
	}
	var well []*maillog.Session
	for i := range 240 {
		well = append(well, ok(i%30, time.Duration(i)*time.Minute))
	}
	var broken []*maillog.Session
	for i := range 60 {
		broken = append(broken, rejects(i%30, 4*time.Hour+time.Duration(i)*time.Minute))
	}
	const outage = "most clients began to fail at"
	local := start.Add(4 * time.Hour).Local().Format("2006-01-02 15:04")
	got := adviceOf(append(well, broken...))
	if !strings.Contains(got, outage+" "+local) || !strings.Contains(got, "30 clients reject your certificate since "+local) {
		t.Errorf("got %s", got)
	}
	for name, sessions := range map[string][]*maillog.Session{
		"all is well":       well,
		"all fail":          broken,
		"four of them fail": append(well[:240:240], broken[:4]...),
		"and mended":        append(append(well[:240:240], broken[:10]...), shifted(well, 5*time.Hour)...),
	} {
		if got := adviceOf(sessions); strings.Contains(got, outage) {
			t.Errorf("%s: got %s", name, got)
		}
	}
}

// Where TLS works for no client, it is not their ciphers.
func TestNeverWorked(t *testing.T) {
	var sessions []*maillog.Session
	for i := range minOutage {
		sessions = append(sessions, newSession(i, time.Duration(i)*time.Hour, maillog.TLSFailed, maillog.OutcomeIncapable))
	}
	const never, cipher = "no client completed TLS", "for want of a cipher"
	for name, test := range map[string]struct {
		sessions []*maillog.Session
		want     string
	}{
		"none":  {sessions, never},
		"few":   {sessions[1:], cipher},
		"works": {append(sessions, newSession(9, 0, maillog.TLSOK, maillog.OutcomeTLSOK)), cipher},
	} {
		if got := adviceOf(test.sessions); !strings.Contains(got, test.want) || strings.Contains(got, never) && strings.Contains(got, cipher) {
			t.Errorf("%s: got %s", name, got)
		}
	}
}

func shifted(sessions []*maillog.Session, by time.Duration) (out []*maillog.Session) {
	for _, s := range sessions {
		later := *s
		later.Time, later.End = s.Time.Add(by), s.End.Add(by)
		out = append(out, &later)
	}
	return out
}

// Each client is counted once in each sum, whatever its sessions were.
func TestSums(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		tally := NewTally()
		deny := &lists.List{Name: "deny", Action: lists.Suppress}
		var sessions, suppressed int64
		clients := map[netip.Addr]bool{}
		for range r.IntN(500) {
			s := newSession(r.IntN(40), time.Duration(r.IntN(1000))*time.Minute, maillog.TLS(r.IntN(4)), maillog.Outcome(r.IntN(13)))
			s.Messages = r.IntN(3)
			if r.IntN(10) == 0 {
				s.Service = maillog.ServiceSubmission
			}
			v := Verdict{}
			if r.IntN(3) == 0 {
				v.Verdict = lists.Verdict{Action: lists.Suppress, Reason: lists.ReasonListed, List: deny}
			}
			tally.Add(s, &v)
			if s.Service == maillog.ServiceSMTP {
				sessions++
				clients[s.Addr] = true
				if v.Action == lists.Suppress {
					suppressed++
				}
			}
		}
		report := tally.Report(maillog.Stats{}, 1000)
		p, s, f := report.Port25, report.Suppressed, report.Failed
		var failed, by int64
		for _, o := range f.Outcomes {
			failed += o.Clients
		}
		for _, share := range s.By {
			by += share.Sessions
		}
		if p.Sessions != sessions || p.Clients != int64(len(clients)) || p.TLS+p.TLSFailed+p.NotOffered+p.Plain != sessions {
			t.Fatalf("got %+v, want %d sessions of %d clients", p, sessions, len(clients))
		}
		if s.Sessions != suppressed || by != suppressed || s.TLSMail.Clients+s.ClearMail.Clients+s.NoMail != s.Clients || int64(len(s.TLSMail.Top)) != s.TLSMail.Clients {
			t.Fatalf("got %+v, want %d sessions", s, suppressed)
		}
		if f.Clients != failed {
			t.Fatalf("got %+v, want %d clients", f, failed)
		}
	}
}

// The clients that are named are those with the largest values, in whatever order they come.
func TestTop(t *testing.T) {
	top := newTop(3, func(c Client) int64 { return c.Messages })
	for _, i := range rand.New(rand.NewPCG(5, 6)).Perm(10_000) {
		top.add(Client{Addr: netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}).String(), Messages: int64(i)})
		if len(top.all) > 2000 {
			t.Fatalf("%d clients are kept", len(top.all))
		}
	}
	var got []int64
	for _, c := range top.sorted() {
		got = append(got, c.Messages)
	}
	if len(got) != 3 || got[0] != 9999 || got[1] != 9998 || got[2] != 9997 {
		t.Errorf("got %v", got)
	}
}

// A redacted address is always replaced by the same, and by none that a client can have.
func TestRedactor(t *testing.T) {
	r := NewRedactor()
	seen := map[string]bool{}
	for i := range 70_000 {
		a := r.Addr(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}).String())
		if seen[a] || !netip.MustParsePrefix("240.0.0.0/4").Contains(netip.MustParseAddr(a)) {
			t.Fatalf("%d: got %s", i, a)
		}
		seen[a] = true
	}
	if a := r.Addr("2001:db8:1::1"); a != r.Addr("2001:db8:1::1") || a == "2001:db8:1::1" {
		t.Errorf("got %s", a)
	}
	if r.Name("a.example.org") == r.Name("b.example.org") || r.Name("") != "" || (*Redactor)(nil).Name("a") != "a" {
		t.Error("names")
	}
	if r.Service("mx1.example.org") != r.Name("mx1.example.org") || r.Service("smtp") != "smtp" || r.Service("2525") != "2525" || r.Service("") != "" {
		t.Error("services")
	}
}

// Each word for a failure in a report is explained in it.
func TestMeanings(t *testing.T) {
	for _, o := range outcomeOrder {
		if meanings[o.String()] == "" {
			t.Errorf("%s is not explained", o)
		}
	}
	if len(meanings) != len(outcomeOrder) {
		t.Errorf("got %d, want %d", len(meanings), len(outcomeOrder))
	}
}

// Where the log names no port, the note has all that Exim must log.
func TestUnknownPort(t *testing.T) {
	s := newSession(1, 0, maillog.TLSOK, maillog.OutcomeTLSOK)
	s.Service = ""
	tally := NewTally()
	tally.Add(s, &Verdict{})
	notes := tally.Report(maillog.Stats{}, 10).Notes
	if got := strings.Join(notes, "\n"); !strings.Contains(got, "log_selector = +incoming_port +incoming_interface +smtp_no_mail") {
		t.Errorf("got %q", got)
	}
}
