package logs

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ehlogate/lists/test/journaltest"
	"ehlogate/lists/test/testenv"
)

// mailInfo and daemonInfo are priorities of syslog(3).
const (
	mailInfo   = 2<<3 | 6
	daemonInfo = 3<<3 | 6
)

// awaitJournal waits until the journal is read.
func (r *running) awaitJournal() {
	r.t.Helper()
	testenv.Eventually(r.t, "the journal is open", func() bool { return r.position().Journal != nil })
}

func awaitChild(t *testing.T) (pid int) {
	t.Helper()
	testenv.Eventually(t, "journalctl runs", func() bool {
		pids := journaltest.FindFollowers(os.Getpid())
		if len(pids) == 1 {
			pid = pids[0]
		}
		return pid != 0
	})
	return pid
}

// The journal is read from its end on, and only what mail servers logged.
func TestJournal(t *testing.T) {
	j := journaltest.Start(t, "")
	defer goleak.VerifyNone(t)
	j.Log(mailInfo, "postfix/smtpd[7]", "disconnect from unknown[192.0.2.9] ehlo=1 quit=1 commands=2")
	state := filepath.Join(t.TempDir(), "logs.json")
	r := start(t, Options{Journal: true, State: state})
	r.awaitJournal()
	lines := []string{"connect from mail.example.org[192.0.2.1]", "SSL_accept error from mail.example.org[192.0.2.1]: -1",
		"warning: TLS library problem: error:0A0000C1:SSL routines::no shared cipher:../ssl/x.c:1:", "lost connection after STARTTLS from mail.example.org[192.0.2.1]",
		"disconnect from mail.example.org[192.0.2.1] ehlo=1 starttls=0/1 commands=1/2", "connect from \xff\xfe[192.0.2.3]"}
	for _, line := range lines {
		j.Log(daemonInfo, "postfix/smtpd[8]", line)
		j.Log(mailInfo, "mx-in/smtpd[8]", line)
		j.Log(daemonInfo, "other[9]", line)
	}
	r.awaitLines(JournalName, uint64(len(lines)))
	r.advance.Add(int64(2 * time.Minute))
	r.stop()
	if n := r.lines(JournalName).Unread; n != 0 {
		t.Errorf("%d lines were not understood", n)
	}
	if st := r.Status(); len(st) != 1 || st[0].IsDegraded() || st[0].Source != "journal" || st[0].Lag != 0 {
		t.Errorf("got %+v", st)
	}
	if kinds := r.kinds(); len(kinds) != 0 {
		t.Errorf("got %v", kinds)
	}
	if len(journaltest.FindFollowers(os.Getpid())) != 0 {
		t.Error("journalctl still runs")
	}
}

// Whatever ends, no line is lost or read twice: the daemon, journalctl, the file that it reads, the machine.
func TestJournalContinues(t *testing.T) {
	j := journaltest.Start(t, "")
	defer goleak.VerifyNone(t)
	options := Options{Journal: true, State: filepath.Join(t.TempDir(), "logs.json")}
	logged := 0
	log := func(n int) (count uint64) {
		for range n {
			j.Log(mailInfo, "postfix/smtpd[7]", fmt.Sprintf("disconnect from unknown[192.0.2.%d] ehlo=1 quit=1 commands=2", 1+logged%250))
			j.Log(daemonInfo, "other[9]", "a line")
			logged++
		}
		return uint64(n)
	}
	for round := range 3 {
		missed := log(5) // while the daemon does not run
		if round == 0 {
			missed = 0 // nor did before
		} else {
			missed += 5
		}
		r := start(t, options)
		r.awaitJournal()
		want := missed + log(20)
		r.awaitLines(JournalName, want)
		if err := syscall.Kill(awaitChild(t), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		want += log(20)
		r.awaitLines(JournalName, want)
		j.Run("--rotate")
		want += log(20)
		r.awaitLines(JournalName, want)
		r.stop()
		if kinds := r.kinds(); len(kinds) != 0 {
			t.Errorf("got %v", kinds)
		}
		j.Run("--rotate")
		if log(5); round == 1 {
			j.Reboot()
		}
	}
}

// No mail server has logged yet: its first line is read, also if it came while the daemon did not run.
func TestJournalWithoutMail(t *testing.T) {
	j := journaltest.Start(t, "")
	options := Options{Journal: true, State: filepath.Join(t.TempDir(), "logs.json")}
	r := start(t, options)
	r.awaitJournal()
	r.stop()
	j.Log(mailInfo, "sm-mta[7]", "a line")
	r = start(t, options)
	r.awaitLines(JournalName, 1)
	if c := r.Client(netip.MustParseAddr("192.0.2.1")); c.Known {
		t.Errorf("got %+v", c)
	}
}

// The journal does not have what was read last any more: that is said, and the rest is read.
func TestJournalPassed(t *testing.T) {
	j := journaltest.Start(t, "")
	options := Options{Journal: true, State: filepath.Join(t.TempDir(), "logs.json")}
	r := start(t, options)
	r.awaitJournal()
	j.Log(mailInfo, "postfix/smtpd[7]", "one")
	r.awaitLines(JournalName, 1)
	r.stop()
	j.Log(mailInfo, "postfix/smtpd[7]", "two, which is removed")
	j.Run("--rotate")
	j.Run("--vacuum-files=1")
	j.Log(mailInfo, "postfix/smtpd[7]", "three")
	r = start(t, options)
	r.awaitLines(JournalName, 1)
	r.stop()
	if kinds := r.kinds(); !slices.Equal(kinds, []EventKind{LinesLost}) {
		t.Errorf("got %v", kinds)
	}
	// Another machine's, of a time to come.
	text := `{"version":1,"files":{},"journal":{"cursor":"s=e57e1b933dbf49f6875eeab794f60179;i=2;b=7cc438cbd6af41e7aaf99055c28c78d4;m=a7dc07d46;t=6715cd302bc18;x=b88c3f14c312bebd"}}`
	if err := os.WriteFile(options.State, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r = start(t, options)
	testenv.Eventually(t, "the cursor is given up", func() bool { return slices.Contains(r.kinds(), LinesLost) })
	testenv.Eventually(t, "the journal is read again", func() bool {
		p := r.position().Journal
		return p != nil && !strings.Contains(p.Cursor, "t=6715cd302bc18")
	})
	j.Log(mailInfo, "postfix/smtpd[7]", "four")
	r.awaitLines(JournalName, 1)
}

// A journalctl that hangs is found, is ended, and costs no line.
func TestJournalHangs(t *testing.T) {
	testenv.Needs(t, "half a minute")
	j := journaltest.Start(t, "")
	r := start(t, Options{Journal: true})
	r.awaitJournal()
	j.Log(mailInfo, "postfix/smtpd[7]", "one")
	r.awaitLines(JournalName, 1)
	if err := syscall.Kill(awaitChild(t), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	j.Log(mailInfo, "postfix/smtpd[7]", "two")
	r.awaitLines(JournalName, 2)
}

// A journal that cannot be read is degraded after a while, with what to do, and is read as soon as it can be.
func TestJournalUnreadable(t *testing.T) {
	j := journaltest.Start(t, "")
	real, err := os.ReadFile(filepath.Join(filepath.Dir(j.Dir), "bin/journalctl"))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ script, want string }{
		"not allowed":   {strings.Replace(string(real), "/usr/bin/journalctl", "setpriv --reuid 65534 --regid 65534 --clear-groups /usr/bin/journalctl", 1), "insufficient permissions: add the user that runs this to the group systemd-journal"},
		"no journal":    {"#!/bin/sh\nexec unshare -m sh -c 'mount -t tmpfs x /var/log && mount -t tmpfs x /run && exec /usr/bin/journalctl \"$@\"' sh \"$@\"\n", "there is no journal"},
		"no permission": {"", "the service may not run it"},
		"not there":     {"-", "the journal needs systemd"},
		"no following":  {"#!/bin/sh\ncase \" $* \" in *' --follow '*) echo no boot id >&2; exit 1; esac\n" + strings.TrimPrefix(string(real), "#!/bin/sh\n"), "exit status 1: no boot id"},
		"a fault":       {"#!/bin/sh\necho disk on fire >&2; exit 3\n", "exit status 3: disk on fire"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
			path := filepath.Join(dir, "journalctl")
			switch c.script {
			case "-":
				t.Setenv("PATH", dir)
			case "":
				testenv.Needs(t, "root")
				if err := os.WriteFile(path, fmt.Appendf(nil, "#!%s\n", emptyLog(t)), 0o755); err != nil { // an interpreter that cannot be run
					t.Fatal(err)
				}
			default:
				if err := os.WriteFile(path, []byte(c.script), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			r := start(t, Options{Journal: true})
			// On a busy machine journalctl takes so long that it counts as one that does not respond, until it ends.
			var st Status
			testenv.Eventually(t, "it fails with "+c.want, func() bool {
				r.advance.Add(int64(time.Second))
				st = r.Status()[0]
				return st.IsDegraded() && strings.Contains(st.Error, c.want) && st.Lag > 0
			})
			testenv.Eventually(t, "it is reported", func() bool { return slices.Equal(r.kinds(), []EventKind{Unreadable}) })
			if err := os.WriteFile(path+".new", real, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(path+".new", path); err != nil {
				t.Fatal(err)
			}
			if c.script == "-" {
				t.Setenv("PATH", dir+":/usr/bin:/bin")
			}
			testenv.Eventually(t, "it works again", func() bool { return slices.Equal(r.kinds(), []EventKind{Unreadable, Readable}) })
		})
	}
}
