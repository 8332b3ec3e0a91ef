package mtatest_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	gomilter "github.com/emersion/go-milter"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/cmd/ehlogate/internal/test/netns"
	"ehlogate/lists/test/testenv"
)

// The clients of TestPasted: on loopback, since postscreen believes no XCLIENT.
const (
	pastedDenied = "127.0.0.66" // and in the operator's own table
	pastedStrict = "127.0.0.77"
	pastedOwn    = "127.0.0.88" // in the operator's own table alone
	pastedOther  = "127.0.0.99"
)

// client connects to a port.
func (o *operator) client(t *testing.T, port, source string) (c *mtatest.SMTP) {
	t.Helper()
	err := o.network.Do(func() (err error) {
		c, err = mtatest.Dial(soon(t), net.JoinHostPort("127.0.0.1", port), source)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if r, err := c.Banner(); err != nil || r.Code != 220 {
		t.Fatalf("%v, %v", r, err)
	}
	return c
}

// offers checks what a client is offered.
func (o *operator) offers(t *testing.T, port, source, name string, want map[string]bool) *mtatest.SMTP {
	t.Helper()
	c := o.client(t, port, source)
	r, err := c.EHLO(name)
	if err != nil || r.Code != 250 {
		t.Fatalf("%s, port %s: EHLO: %v, %v", source, port, r, err)
	}
	for keyword, want := range want {
		if r.Offers(keyword) != want {
			t.Errorf("%s, port %s: %s offered: %v, want %v", source, port, keyword, !want, want)
		}
	}
	return c
}

// delivers checks the last reply to a message.
func (o *operator) delivers(t *testing.T, c *mtatest.SMTP, what, from, to string, want int) (mark string) {
	t.Helper()
	mark = fmt.Sprintf("pasted-%d", marks.Add(1))
	r, err := c.Deliver(from, to, "Subject: "+mark+"\n\nhello\n")
	if err != nil || r.Code != want {
		t.Errorf("%s: %v, %v; want %d", what, r, err, want)
	}
	return mark
}

// check plays clients: the operator's own settings act, and ehlogate does.
func (o *operator) check(t *testing.T) {
	t.Helper()
	has := func(name string) bool { return o.settings[name] != "" }
	table, chunking := has("smtpd_discard_ehlo_keyword_address_maps"), !has("smtpd_discard_ehlo_keywords")
	const from, to = "a@client.example", "b@mta.test"

	// ehlogate.
	c := o.offers(t, "25", pastedDenied, "client.example", map[string]bool{"STARTTLS": false, "DSN": !table, "CHUNKING": false, "PIPELINING": true})
	o.delivers(t, c, "denied", from, to, 250)
	c = o.offers(t, "25", pastedStrict, "client.example", map[string]bool{"STARTTLS": true, "CHUNKING": chunking})
	o.delivers(t, c, "require, without TLS", from, to, 450)
	if r, state, err := c.STARTTLS(); err != nil || !state.HandshakeComplete {
		t.Errorf("STARTTLS: %v, %v", r, err)
	}
	if r, err := c.EHLO("client.example"); err != nil || r.Code != 250 {
		t.Errorf("EHLO: %v, %v", r, err)
	}
	o.delivers(t, c, "require, with TLS", from, to, 250)
	o.offers(t, "25", pastedOther, "ylmf-pc.example", map[string]bool{"PIPELINING": !slices.Contains(o.hooks, "filter") || o.begin == "doctor"})

	// The operator's.
	o.offers(t, "25", pastedOwn, "client.example", map[string]bool{"STARTTLS": true, "DSN": !table, "CHUNKING": chunking || table})
	c = o.offers(t, "25", pastedOther, "client.example", map[string]bool{"STARTTLS": true, "DSN": true, "CHUNKING": chunking})
	refused := func(name string) int {
		if has(name) {
			return 554
		}
		return 250
	}
	o.delivers(t, c, "a sender", "bad@client.example", to, refused("smtpd_sender_restrictions"))
	c = o.client(t, "25", pastedOther)
	if r, err := c.HELO("client.example"); err != nil || r.Code != 250 {
		t.Errorf("HELO: %v, %v", r, err)
	}
	o.delivers(t, c, "a recipient", from, "refused@mta.test", refused("smtpd_recipient_restrictions"))
	c = o.client(t, "25", pastedOther)
	r, err := c.EHLO("nodots")
	if err == nil && r.Code == 250 {
		r, err = c.Deliver(from, to, "Subject: x\n\nhello\n")
	}
	if err != nil || (r.Code == 504) != has("smtpd_helo_restrictions") {
		t.Errorf("a HELO name: %v, %v", r, err)
	}
	c = o.client(t, "25", pastedOther)
	if r, err := c.Command("XYZZY"); err != nil || (r.Code == 250) != has("smtpd_command_filter") {
		t.Errorf("a command: %v, %v", r, err)
	}
	mark := o.delivers(t, c, "no HELO", from, to, 250)
	mail, err := o.AwaitMail(soon(t), regexp.MustCompile(mark))
	if err != nil || strings.Contains(mail, "X-Own: seen") != has("smtpd_milters") {
		t.Errorf("the operator's milter: %v\n%s", err, mail)
	}

	// Submission asks nothing.
	c = o.offers(t, "587", pastedDenied, "client.example", map[string]bool{"STARTTLS": true})
	o.delivers(t, c, "submission", from, to, 250)
	o.delivers(t, o.offers(t, "587", pastedStrict, "client.example", map[string]bool{"STARTTLS": true}), "submission", from, to, 250)
}

// ownMilter adds a header.
type ownMilter struct{ gomilter.NoOpMilter }

func (ownMilter) Body(m *gomilter.Modifier) (gomilter.Response, error) {
	return gomilter.RespContinue, m.AddHeader("X-Own", "seen")
}

// milter starts the operator's milter.
func (o *operator) milter(t *testing.T) {
	t.Helper()
	path := filepath.Join(mtatest.LayoutOf(o.dir).Queue, "own-milter")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	server := &gomilter.Server{NewMilter: func() gomilter.Milter { return ownMilter{} }, Actions: gomilter.OptAddHeader}
	done := make(chan struct{})
	go func() { server.Serve(l); close(done) }()
	t.Cleanup(func() { l.Close(); <-done })
}

// startPastedDaemon starts one ehlogate with sockets in the queue directory of each operator.
func startPastedDaemon(t *testing.T, operators []*operator) *daemon {
	t.Helper()
	g := &daemon{dir: tempDir(t)}
	var text strings.Builder
	var all []string
	text.WriteString("always_hide = [\"chunking\"]\n[listen]\nsocket_group = \"postfix\"\nsocket_mode = \"0660\"\n")
	for _, protocol := range []string{"memcache", "policy", "milter"} {
		var paths []string
		for _, o := range operators {
			dir := filepath.Join(mtatest.LayoutOf(o.dir).Queue, "ehlogate")
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			paths = append(paths, filepath.Join(dir, protocol))
		}
		fmt.Fprintf(&text, "%s = [\"%s\"]\n", protocol, strings.Join(paths, "\", \""))
		all = append(all, paths...)
	}
	g.config = text.String() + "\n" + enforceLists
	g.Daemon = mtatest.StartFixture(t, mtatest.Fixture{
		Dir: g.dir, Config: g.config, Race: testenv.RacePrograms, Ready: mtatest.ReadyDial(all...),
		Files: map[string]string{"strict.list": pastedStrict + "\n", "deny.list": pastedDenied + "\nhelo:ylmf-pc.example\n"},
	})
	return g
}

// TestPasted connects ehlogate to Postfix instances that have settings of their own, by pasting the examples and by doing
// what doctor says: the operator's settings still act, ehlogate does, and Postfix has nothing against it.
func TestPasted(t *testing.T) {
	testenv.Needs(t, "root", "Postfix")
	t.Parallel()
	var operators []*operator
	for i := range 24 {
		o := newOperator(i)
		o.dir = tempDir(t)
		operators = append(operators, o)
	}
	g := startPastedDaemon(t, operators)
	for i, o := range operators {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			network, err := netns.New()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { network.Close() })
			o.network = network
			o.write(t, i)
			o.milter(t)
			before := o.complaints(t)
			switch o.begin {
			case "examples":
				o.paste(t)
			case "old":
				o.pasteOld(t)
			}
			said := o.follow(t, g)
			if slices.Contains(said, "keywords-extra") { // always_hide is for all of them
				o.settings["smtpd_discard_ehlo_keywords"] = "chunking"
			}
			if after := o.complaints(t); after != before {
				t.Errorf("Postfix complained of %q, and now of %q", before, after)
			}
			t.Cleanup(func() {
				if err := o.Stop(soon(t)); err != nil {
					t.Error(err)
				}
				if t.Failed() {
					main, _ := os.ReadFile(filepath.Join(o.Config, "main.cf"))
					master, _ := os.ReadFile(filepath.Join(o.Config, "master.cf"))
					t.Logf("%s, %q, doctor: %q\n%s\n%s\n%s", o.begin, o.hooks, said, main, master, o.Maillog().Tail(20))
				}
			})
			o.backdate(t)
			if err := o.Start(soon(t)); err != nil {
				t.Fatal(err)
			}
			o.check(t)
		})
	}
}
