package mtatest_test

import (
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
)

// seen is what a mail server did to one client, which uses TLS if it is offered.
type seen struct {
	ehlo    mtatest.Reply // code 0: none came
	hasTLS  bool          // the session is under TLS
	auth    bool          // AUTH is offered to it in the end
	taken   bool          // its mail is taken, up to RCPT
	must530 bool          // its mail is refused because it does not use TLS
	what    string        // for the log
}

// open connects to a port as a client, up to the banner.
func (s *site) open(t *testing.T, p port, client string) (c *mtatest.SMTP, err error) {
	source := client
	if p.proxy {
		source = ""
	}
	err = s.do(func() (err error) {
		c, err = mtatest.Dial(soon(t), p.addr, source)
		return err
	})
	if err != nil {
		return nil, err
	}
	c.Timeout = patienceOfClient
	if p.tls {
		if _, err := c.Handshake(); err != nil {
			c.Close()
			return nil, err
		}
	}
	var r mtatest.Reply
	if host, number, _ := net.SplitHostPort(p.addr); p.proxy {
		r, err = c.SendRaw(fmt.Sprintf("PROXY TCP4 %s %s 40000 %s\r\n", client, host, number))
	} else {
		r, err = c.Banner()
	}
	if err == nil && r.Code != 220 {
		err = fmt.Errorf("banner: %v", r)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// play has one client begin to deliver a message.
func (s *site) play(t *testing.T, p port, client string) (v seen) {
	c, err := s.open(t, p, client)
	if err != nil {
		return seen{what: err.Error()}
	}
	defer c.Close()
	name := "client.example"
	if s.bot != "" && client == s.clients["denied"] {
		name = s.bot
	}
	greet := func() (r mtatest.Reply) {
		r, err = c.EHLO(name)
		return r
	}
	if v.ehlo = greet(); err != nil || v.ehlo.Code != 250 {
		v.what = fmt.Sprintf("%v, %v", v.ehlo, err)
		return v
	}
	v.hasTLS = p.tls
	reply := v.ehlo
	if v.ehlo.Offers("STARTTLS") {
		if r, state, err := c.STARTTLS(); err != nil || !state.HandshakeComplete {
			v.what = fmt.Sprintf("STARTTLS: %v, %v", r, err)
			return v
		}
		v.hasTLS = true
		if reply = greet(); err != nil {
			v.what = err.Error()
			return v
		}
	}
	v.auth = reply.Offers("AUTH")
	for _, command := range []string{"MAIL FROM:<a@client.example>", "RCPT TO:<b@mta.test>"} {
		r, err := c.Command(command)
		if err != nil || r.Code != 250 {
			v.must530, v.what = r.Code == 530, fmt.Sprintf("%v, %v", r, err)
			return v
		}
	}
	v.taken = true
	_, _ = c.Quit()
	return v
}

// measure returns the harm that the server does, while ehlogate answers, hangs and is down.
func (s *site) measure(t *testing.T) (did []harm) {
	t.Helper()
	m := &measurement{site: s, seen: map[harm]string{}}
	var done sync.WaitGroup
	for _, p := range s.mail {
		done.Go(func() { m.measureMail(t, p) })
	}
	for _, p := range s.login {
		done.Go(func() { m.measureLogin(t, p) })
	}
	done.Wait()
	if s.edit != nil {
		s.edit(t)
		for _, p := range s.mail {
			v := m.play(t, p, m.clients["edited"])
			m.note(v.ehlo.Code == 250 && !v.ehlo.Offers("STARTTLS"), hidesEdited, "%s: %v", p.addr, v.ehlo)
		}
	}
	if _, broken := m.seen[failsNow]; !broken { // it would fail on
		if err := s.daemon.Hang(soon(t)); err != nil {
			t.Fatal(err)
		}
		crowd := 6
		if !s.accepts { // one process for all
			crowd = 20
		}
		m.measureFailure(t, failsHung, crowd)
		if err := s.daemon.Resume(); err != nil {
			t.Fatal(err)
		}
		if err := s.daemon.Kill(soon(t)); err != nil {
			t.Fatal(err)
		}
		m.measureFailure(t, failsDown, 1)
		for _, p := range m.mail {
			if m.keeps {
				v := m.play(t, p, m.clients["denied"])
				m.note(v.ehlo.Offers("STARTTLS"), showsDown, "%s: %v", p.addr, v.ehlo)
			}
		}
	}
	for h, why := range m.seen {
		did = append(did, h)
		if testing.Verbose() {
			t.Logf("%s: %s", h, why)
		}
	}
	slices.Sort(did)
	return did
}

type measurement struct {
	*site
	sync.Mutex
	seen map[harm]string // the harm, and how it showed
}

// note notes harm if there is some.
func (m *measurement) note(is bool, h harm, format string, args ...any) {
	m.Lock()
	defer m.Unlock()
	if is {
		m.seen[h] = fmt.Sprintf(format, args...)
	}
}

// record keeps what a client saw, for the log of a test that fails.
func (m *measurement) record(format string, args ...any) {
	m.Lock()
	defer m.Unlock()
	m.replies = append(m.replies, fmt.Sprintf(format, args...))
}

func (m *measurement) has(h harm) (how string, ok bool) {
	m.Lock()
	defer m.Unlock()
	how, ok = m.seen[h]
	return how, ok
}

// hidden returns the keywords that a reply to EHLO lacks, of those of another.
func hidden(from, of mtatest.Reply) []string {
	return slices.DeleteFunc(of.Keywords(), func(k string) bool { return slices.Contains(from.Keywords(), k) || k == "STARTTLS" || k == "AUTH" })
}

// playAll plays several clients at once.
func (m *measurement) playAll(t *testing.T, p port, roles ...string) []seen {
	out := make([]seen, len(roles))
	var done sync.WaitGroup
	for i, role := range roles {
		done.Go(func() { out[i] = m.play(t, p, m.clients[role]) })
	}
	done.Wait()
	return out
}

func (m *measurement) measureMail(t *testing.T, p port) {
	all := m.playAll(t, p, "denied", "unlisted", "allowed")
	denied, unlisted := all[0], all[1]
	for _, v := range all[1:] {
		m.note(v.ehlo.Code != 250 || m.accepts && !v.taken, failsNow, "%s: %s", p.addr, v.what)
		m.note(v.ehlo.Code == 250 && !v.ehlo.Offers("STARTTLS"), hidesAllowed, "%s: %v", p.addr, v.ehlo)
	}
	m.note(denied.ehlo.Code != 250 || m.accepts && !denied.taken && !denied.must530, failsNow, "%s, suppressed: %s", p.addr, denied.what)
	if denied.ehlo.Code != 250 || unlisted.ehlo.Code != 250 {
		return
	}
	m.note(unlisted.ehlo.Offers("STARTTLS") && denied.ehlo.Offers("STARTTLS"), showsDenied, "%s: %v", p.addr, denied.ehlo)
	m.note(!denied.hasTLS && (denied.auth || unlisted.auth), exposesLogin, "%s: %v", p.addr, denied.ehlo)
	lost, extra := hidden(unlisted.ehlo, denied.ehlo), hidden(denied.ehlo, unlisted.ehlo)
	m.note(len(lost) > 0, losesKeywords, "%s: %q", p.addr, lost)
	m.note(len(extra) > 0 && len(denied.ehlo.Keywords()) > 0, addsKeywords, "%s: %q", p.addr, extra)
	m.note(denied.must530, needsTLS, "%s: %s", p.addr, denied.what)
	if legacy := m.clients["legacy"]; legacy != "" {
		m.measureOld(t, p, legacy)
	}
	if strict := m.clients["strict"]; strict != "" {
		for _, order := range []string{"EHLO", "no HELO"} {
			codes, taken := m.playStrict(t, p, commandOrders[order], strict)
			m.note(taken, lacksTLS, "%s, %s: %v", p.addr, order, codes)
		}
	}
}

// measureOld has a client on a legacy list, and one on no list, speak TLS 1.0 alone.
func (m *measurement) measureOld(t *testing.T, p port, legacy string) {
	speaks := func(client string) (opened, ok bool) {
		c, err := m.open(t, p, client)
		if err != nil {
			m.record("%s, %s: %v", p.addr, client, err)
			return false, false
		}
		defer c.Close()
		if r, err := c.EHLO("client.example"); err != nil || !r.Offers("STARTTLS") {
			return true, false
		}
		if r, err := c.Command("STARTTLS"); err != nil || r.Code != 220 {
			return true, false
		}
		_, err = c.HandshakeAs(tls.VersionTLS10)
		return true, err == nil
	}
	opened, ok := speaks(legacy)
	m.note(!opened, refusesOld, "%s", p.addr)
	m.note(!ok, lacksOld, "%s", p.addr)
	_, ok = speaks(m.clients["unlisted"])
	m.note(ok, oldForAll, "%s", p.addr)
}

// playStrict has a client deliver without TLS.
func (m *measurement) playStrict(t *testing.T, p port, order, client string) (codes []int, taken bool) {
	c, err := m.open(t, p, client)
	if err != nil {
		return nil, false
	}
	defer c.Close()
	for command := range strings.SplitSeq(order, "; ") {
		r, err := c.Command(command)
		if err == nil && r.Code == 354 {
			r, err = c.SendRaw("Subject: strict\r\n\r\nhello\r\n.\r\n")
		}
		if err != nil {
			return codes, false
		}
		codes = append(codes, r.Code)
		taken = command == "DATA" && r.Code == 250
	}
	return codes, taken
}

func (m *measurement) measureLogin(t *testing.T, p port) {
	all := m.playAll(t, p, "denied", "unlisted")
	denied, unlisted := all[0], all[1]
	m.note(unlisted.ehlo.Code != 250 || denied.ehlo.Code != 250, failsNow, "%s: %s, %s", p.addr, unlisted.what, denied.what)
	m.note(unlisted.auth && !denied.auth, hidesLogin, "%s: no AUTH: %v", p.addr, denied.ehlo)
	m.note(unlisted.hasTLS && !denied.hasTLS, hidesLogin, "%s: %v", p.addr, denied.ehlo)
}

// measureFailure has several clients connect at a time to each port. Each must be served.
func (m *measurement) measureFailure(t *testing.T, h harm, clients int) {
	var done sync.WaitGroup
	for _, p := range append(slices.Clone(m.mail), m.login...) {
		for i := range clients + 1 {
			client := m.clients["unlisted"]
			switch {
			case i == clients:
				client = m.clients["allowed"]
			case !m.accepts:
				// Once postscreen has tested a client, it tests none of its other sessions at that time.
				client = fmt.Sprintf("127.0.1.%d", i+1)
			}
			done.Go(func() {
				began := time.Now()
				v := m.play(t, p, client)
				login := slices.Contains(m.login, p)
				m.record("%s, %s: %s: EHLO %d %s, after %v", h, p.addr, client, v.ehlo.Code, v.what, time.Since(began).Round(10*time.Millisecond))
				m.note(m.waits && h == failsHung && time.Since(began) >= patienceOfClient, waitsHung, "%s: %s", p.addr, v.what)
				m.note(v.ehlo.Code != 250 || m.accepts && !login && !v.taken, h, "%s: %s, after %v", p.addr, v.what, time.Since(began).Round(100*time.Millisecond))
				if _, already := m.has(hidesAllowed); h == failsDown && !login && i == clients && !already {
					m.note(v.ehlo.Code == 250 && !v.ehlo.Offers("STARTTLS"), hidesDown, "%s: %v", p.addr, v.ehlo)
				}
			})
		}
	}
	done.Wait()
}
