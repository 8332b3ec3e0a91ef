// Command demo shows what ehlogate does, on a real Postfix with the settings
// of examples/postfix, in a temporary directory and on free loopback ports. It
// cleans up behind itself. Run it with "make demo".
package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/test/testenv"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdout, "examples/postfix/ehlogate.cf"); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// patience is how long any one thing may take.
const patience = 30 * time.Second

// The two clients: on loopback every address can be a client of its own.
const (
	printer = "127.0.0.2"
	partner = "127.0.0.3"
)

type demo struct {
	ctx     context.Context
	out     io.Writer
	dir     string
	daemon  *mtatest.Daemon
	postfix *mtatest.Postfix
}

func run(ctx context.Context, out io.Writer, mapCF string) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	dir, err := mtatest.TempDir()
	if err != nil {
		return err
	}
	d := &demo{ctx: ctx, out: out, dir: dir}
	defer func() {
		if e := d.cleanUp(); err == nil {
			err = e
		}
	}()
	for _, step := range []func() error{
		func() error { return d.setUp(mapCF) }, d.twoClients, d.editList, d.killDaemon, d.replayLog,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) cleanUp() error {
	// Also when ctx has ended.
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if d.postfix != nil {
		if err := d.postfix.Stop(ctx); err != nil {
			return err
		}
	}
	if d.daemon != nil && d.daemon.Running() {
		if _, err := d.daemon.Term(ctx); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(d.dir); err != nil {
		return err
	}
	d.title("All is stopped, and " + d.dir + " is gone.")
	return nil
}

func (d *demo) title(s string) { fmt.Fprintf(d.out, "\n== %s\n\n", s) }

// setUp starts both daemons.
func (d *demo) setUp(mapCF string) error {
	d.title("A Postfix and an ehlogate of their own, in " + d.dir)
	table, err := os.ReadFile(mapCF)
	if err != nil {
		return err
	}
	fmt.Fprintln(d.out, "building ehlogate ...")
	binary, err := mtatest.Build(d.ctx, d.dir, false)
	if err != nil {
		return err
	}
	ports, err := mtatest.FreePorts(1)
	if err != nil {
		return err
	}
	addr := fmt.Sprintf("127.0.0.1:%d", ports[0])
	config := filepath.Join(d.dir, "ehlogate.toml")
	err = os.WriteFile(config, fmt.Appendf(nil, "[listen]\nmemcache = [%q]\n\n[[list]]\nname   = \"deny\"\naction = \"suppress\"\nfiles  = [\"deny.list\"]\n", addr), 0o644)
	if err != nil {
		return err
	}
	if err := d.writeList(printer + "    # a printer whose TLS is broken\n"); err != nil {
		return err
	}
	d.daemon = mtatest.NewDaemon(d.dir, "ehlogate.log", binary, mtatest.ReadyDial(addr), "serve", "-c", config)
	if err := d.daemon.Start(d.ctx); err != nil {
		return err
	}
	d.postfix, err = mtatest.NewPostfix(mtatest.PostfixConfig{
		Dir:   filepath.Join(d.dir, "postfix"),
		Files: map[string]string{"ehlogate.cf": strings.ReplaceAll(string(table), "unix:ehlogate/memcache", "inet:"+addr)},
		Services: []mtatest.Service{{Name: "smtp", Options: map[string]string{
			"smtpd_discard_ehlo_keyword_address_maps": "memcache:$config_directory/ehlogate.cf",
		}}},
	})
	if err != nil {
		return err
	}
	if err := d.postfix.Start(d.ctx); err != nil {
		return err
	}
	fmt.Fprintf(d.out, "Postfix listens on %s and asks ehlogate on %s.\n", d.postfix.Addr("smtp"), addr)
	return nil
}

func (d *demo) writeList(text string) error {
	name := filepath.Join(d.dir, "deny.list")
	if err := os.WriteFile(name+".new", []byte(text), 0o644); err != nil {
		return err
	}
	fmt.Fprintf(d.out, "deny.list:\n\n    %s\n\n", strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n    "))
	return os.Rename(name+".new", name)
}

func (d *demo) twoClients() error {
	d.title("Two clients, two EHLO replies")
	if err := d.compare(map[string]bool{printer: false, partner: true}); err != nil {
		return err
	}
	lines, err := d.daemon.Log.Lines(regexp.MustCompile("suppressed"), 0)
	if err != nil {
		return err
	}
	fmt.Fprintf(d.out, "\nThe log of ehlogate says:\n\n    %s\n", strings.Join(lines, "\n    "))
	return nil
}

func (d *demo) editList() error {
	d.title("The list is edited; no server is restarted or reloaded")
	if err := d.writeList("# the printer is mended\n" + partner + "    until=2099-12-31\n"); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(d.ctx, patience)
	defer cancel()
	err := testenv.Await(ctx, func() (bool, error) {
		r, err := d.session(partner)
		return !r.Offers("STARTTLS"), err
	})
	if err != nil {
		return fmt.Errorf("the edit had no effect: %w: %s", err, d.daemon.Log.Tail(20))
	}
	return d.compare(map[string]bool{printer: true, partner: false})
}

func (d *demo) killDaemon() error {
	d.title("ehlogate is killed (SIGKILL); mail still flows")
	ctx, cancel := context.WithTimeout(d.ctx, patience)
	defer cancel()
	if err := d.daemon.Kill(ctx); err != nil {
		return err
	}
	return d.compare(map[string]bool{printer: true, partner: true})
}

// replayLog shows what the log of these sessions tells.
func (d *demo) replayLog() error {
	d.title("What Postfix logged: ehlogate replay " + d.postfix.Maillog().Path())
	ctx, cancel := context.WithTimeout(d.ctx, patience)
	defer cancel()
	err := testenv.Await(ctx, func() (bool, error) { // a session ends before its last line is in the log
		lines, err := d.postfix.Maillog().Lines(regexp.MustCompile(`\]: (?:dis)?connect from `), 0)
		ended := slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return !strings.Contains(line, "disconnect from") })
		return 2*len(ended) == len(lines), err
	})
	if err != nil {
		return fmt.Errorf("waiting for the log of the last session: %w", err)
	}
	cmd := exec.CommandContext(ctx, filepath.Join(d.dir, "ehlogate"), "replay", "-c", filepath.Join(d.dir, "ehlogate.toml"), d.postfix.Maillog().Path())
	cmd.Stderr = d.out
	report, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%s: %w", cmd, err)
	}
	for line := range strings.Lines(string(report)) {
		fmt.Fprint(d.out, "    "+line)
	}
	return nil
}

func (d *demo) session(source string) (mtatest.Reply, error) {
	ctx, cancel := context.WithTimeout(d.ctx, patience)
	defer cancel()
	r, err := mtatest.Session(ctx, d.postfix.Addr("smtp"), source, "client.example")
	return r.Reply, err
}

// compare shows what both clients see, and fails if it is not what is meant.
func (d *demo) compare(offered map[string]bool) error {
	left, err := d.playSession(printer, offered[printer])
	if err != nil {
		return err
	}
	right, err := d.playSession(partner, offered[partner])
	if err != nil {
		return err
	}
	for i := range max(len(left), len(right)) {
		var l, r string
		if i < len(left) {
			l = left[i]
		}
		if i < len(right) {
			r = right[i]
		}
		fmt.Fprintln(d.out, strings.TrimRight(fmt.Sprintf("    %-44s%s", l, r), " "))
	}
	return nil
}

// playSession is one client's session: EHLO, STARTTLS, a message. It gives what is
// to be seen of it.
func (d *demo) playSession(source string, offered bool) (lines []string, err error) {
	c, err := mtatest.Dial(d.ctx, d.postfix.Addr("smtp"), source)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if _, err := c.Banner(); err != nil {
		return nil, err
	}
	r, err := c.EHLO("client.example")
	if err != nil {
		return nil, err
	}
	if r.Offers("STARTTLS") != offered {
		return nil, fmt.Errorf("%s is offered STARTTLS: %v, want %v: %v", source, r.Offers("STARTTLS"), offered, r)
	}
	lines = append(lines, "client "+source, "")
	for _, k := range r.Keywords() {
		lines = append(lines, "250 "+k)
	}
	if !offered {
		lines = append(lines, "(no STARTTLS)")
	}
	r, state, err := c.STARTTLS()
	if err != nil {
		return nil, err
	}
	lines = append(lines, "", "> STARTTLS", fmt.Sprintf("%d %s", r.Code, strings.Join(r.Text, " ")))
	if state.HandshakeComplete {
		lines = append(lines, "  "+tls.VersionName(state.Version)+" agreed")
		if _, err := c.EHLO("client.example"); err != nil {
			return nil, err
		}
	}
	mark := fmt.Sprintf("%s-%d", source, time.Now().UnixNano())
	if r, err = c.Deliver("sender@client.example", "you@mta.test", "Subject: "+mark+"\n\nhello\n"); err != nil || r.Code != 250 {
		return nil, fmt.Errorf("message from %s: %v, %w", source, r, err)
	}
	ctx, cancel := context.WithTimeout(d.ctx, patience)
	defer cancel()
	if _, err := d.postfix.AwaitMail(ctx, regexp.MustCompile(regexp.QuoteMeta(mark))); err != nil {
		return nil, err
	}
	return append(lines, "> a message: delivered"), nil
}
