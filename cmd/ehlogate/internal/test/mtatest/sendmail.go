package mtatest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"ehlogate/cmd/ehlogate/internal/test/netns"
	"ehlogate/lists/test/testenv"
)

// SendmailConfig describes a Sendmail.
type SendmailConfig struct {
	Dir      string            // an empty directory that every user may enter, see TempDir
	Port     int               // on 127.0.0.1 and ::1, see FreePorts
	Features string            // m4 text for sendmail.mc, in front of the MAILER lines
	MC       string            // m4 text for its end, behind the MAILER lines
	Hosts    string            // names of clients, in the format of hosts(5); only the first line of a name counts as its address
	Etc      map[string]string // files of /etc as it sees them, by name
	Syslog   bool              // it logs as on a real machine, with time and process, and no more than by default

	Network *netns.Namespace // where it runs; nil: where we are
}

// Sendmail is one Sendmail daemon, as Debian packages it. It delivers mail to every user @mta.test. Its methods are for one goroutine; the addresses and the log may be used by many.
//
// Sendmail logs to syslog alone. Its own debugging flag 89.8 sends the same lines to a file instead, without a time.
type Sendmail struct {
	mailbox
	program, dir, queue string
	port                int
	view                private
	network             *netns.Namespace
	daemon              *child
	syslog              *syslog // nil: it logs to the file itself
}

// NewSendmail writes the configuration of a Sendmail; nothing runs yet. It fails if Sendmail was not
// unpacked (the error says what to run), if the caller is not root, or if m4 has anything to say about the text.
func NewSendmail(cfg SendmailConfig) (*Sendmail, error) {
	program, err := unpackedProgram("sendmail/usr/libexec/sendmail/sendmail")
	if err != nil {
		return nil, err
	}
	s := &Sendmail{
		mailbox: mailbox{filepath.Join(cfg.Dir, "box"), &Log{path: filepath.Join(cfg.Dir, "maillog")}},
		program: program, dir: cfg.Dir, queue: filepath.Join(cfg.Dir, "queue"), port: cfg.Port, network: cfg.Network,
	}
	if s.view, err = newPrivate(filepath.Join(cfg.Dir, "etc"), "sendmail", cfg.Hosts, cfg.Etc); err != nil {
		return nil, err
	}
	if err := os.Mkdir(s.queue, 0o700); err != nil {
		return nil, fmt.Errorf("making the queue: %w", err)
	}
	if err := s.makeMaildir(owner{}); err != nil {
		return nil, err
	}
	if err := writeCert(s.view.dir, hostName); err != nil {
		return nil, err
	}
	logLevel := "define(`confLOG_LEVEL', `14')dnl\n"
	if cfg.Syslog {
		logLevel = ""
	}
	err = writeFiles(cfg.Dir, map[string]string{
		"statistics":      "",
		"etc/switch":      "hosts files\naliases files\npasswd files\n",
		"etc/deliver":     fmt.Sprintf("#!/bin/sh\nf=$(mktemp %[1]s/tmp/XXXXXX) && cat >\"$f\" && mv \"$f\" %[1]s/new/\n", s.path),
		"etc/sendmail.mc": s.configText() + logLevel + cfg.Features + "MAILER(`local')dnl\nMAILER(`smtp')dnl\n" + cfg.MC,
	})
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(filepath.Join(s.view.dir, "deliver"), 0o755); err != nil {
		return nil, fmt.Errorf("making the mailer executable: %w", err)
	}
	if cfg.Syslog {
		if s.syslog, err = listenSyslog(s.view.dir, s.log); err != nil {
			return nil, err
		}
	}
	return s, s.makeCF()
}

// makeCF has m4 make sendmail.cf. A warning of m4 is an error: an operator would have to look into it.
func (s *Sendmail) makeCF() error {
	m4 := exec.Command(filepath.Join(unpacked, "sendmail/usr/bin/m4"), filepath.Join(s.view.dir, "sendmail.mc"))
	var warnings strings.Builder
	m4.Stderr = &warnings
	cf, err := m4.Output()
	if err == nil && warnings.Len() > 0 {
		err = errors.New("m4 warned")
	}
	if err != nil {
		return fmt.Errorf("making sendmail.cf: %w\n%s", err, warnings.String())
	}
	return writeFiles(s.view.dir, map[string]string{"sendmail.cf": string(cf)})
}

// configText returns the first part of sendmail.mc, up to the mailers: TLS, no AUTH, no aliases, no waiting for names or for the load of the machine,
// and all mail for mailDomain through a script into the maildir.
func (s *Sendmail) configText() string {
	var b strings.Builder
	fmt.Fprintf(&b, "include(`%s/sendmail/usr/share/sendmail/cf/m4/cf.m4')dnl\nOSTYPE(`linux')dnl\n", unpacked)
	for _, d := range [][2]string{
		{"confDOMAIN_NAME", hostName},
		{"confPID_FILE", s.dir + "/pid"},
		{"QUEUE_DIR", s.queue},
		{"STATUS_FILE", s.dir + "/statistics"},
		{"confSERVICE_SWITCH_FILE", s.view.dir + "/switch"},
		{"confHOSTS_FILE", s.view.dir + "/hosts"},
		{"confQUEUE_LA", "1000"},
		{"confREFUSE_LA", "1000"},
		{"confTO_IDENT", "0s"},
		{"confDELIVERY_MODE", "interactive"},
		{"confDONT_PROBE_INTERFACES", "True"},
		{"confCACERT_PATH", s.view.dir}, // without these two it has no TLS at all
		{"confCACERT", s.view.dir + "/cert.pem"},
		{"confSERVER_CERT", s.view.dir + "/cert.pem"},
		{"confSERVER_KEY", s.view.dir + "/key.pem"},
		{"confDONT_BLAME_SENDMAIL", "GroupReadableKeyFile,TrustStickyBit"}, // a temporary directory lies in a sticky one
		{"LOCAL_MAILER_PATH", s.view.dir + "/deliver"},
		{"LOCAL_MAILER_ARGS", "deliver $u"}, // without $u it would speak SMTP to it
	} {
		fmt.Fprintf(&b, "define(`%s', `%s')dnl\n", d[0], d[1])
	}
	fmt.Fprintf(&b, "undefine(`ALIAS_FILE')dnl\nMODIFY_MAILER_FLAGS(`LOCAL', `-Aw5:/|@')dnl\nLOCAL_DOMAIN(`%s')dnl\n", mailDomain)
	for _, feature := range []string{"no_default_msa", "accept_unresolvable_domains", "nocanonify"} {
		fmt.Fprintf(&b, "FEATURE(`%s')dnl\n", feature)
	}
	fmt.Fprintf(&b, "DAEMON_OPTIONS(`Name=MTA, Family=inet, Addr=127.0.0.1, Port=%d, Modify=A')dnl\n", s.port)
	if hasIPv6() {
		fmt.Fprintf(&b, "DAEMON_OPTIONS(`Name=MTA6, Family=inet6, Addr=::1, Port=%d, Modify=A')dnl\n", s.port)
	}
	return b.String()
}

// Addr returns the IPv4 address, host:port.
func (s *Sendmail) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// Addr6 is Addr for IPv6.
func (s *Sendmail) Addr6() string { return net.JoinHostPort("::1", strconv.Itoa(s.port)) }

// Maillog is the log of the daemon.
func (s *Sendmail) Maillog() *Log { return s.log }

// sendmailServes is logged when the ports are open.
var sendmailServes = regexp.MustCompile(`(?:^|\]: )(?:started as|starting daemon)`)

// Start starts the daemon and returns when it accepts connections. After an error nothing runs, and the error carries the
// end of the log.
func (s *Sendmail) Start(ctx context.Context) error {
	mark := s.log.Mark()
	args := []string{"-C", filepath.Join(s.view.dir, "sendmail.cf"), "-bD"}
	if s.syslog == nil {
		args = append([]string{"-D", s.log.path, "-d89.8"}, args...)
	}
	var err error
	s.daemon, err = s.view.start(s.network, s.log, s.program, args...)
	if err != nil {
		return fmt.Errorf("starting sendmail: %w", err)
	}
	if err := s.serves(ctx, mark); err != nil {
		return errors.Join(fmt.Errorf("starting sendmail: %w\n%s", err, s.log.Tail(30)), s.Stop(ctx))
	}
	return nil
}

// serves waits until the daemon says behind mark that it was started, and accepts connections: now and then it says so a
// moment before it does.
func (s *Sendmail) serves(ctx context.Context, mark int64) error {
	accepts := ReadyDial(s.Addr())
	return testenv.Await(ctx, func() (bool, error) {
		if exit, ended := s.daemon.exited(); ended {
			return false, fmt.Errorf("it ended: %w", exit)
		}
		found, err := s.log.Lines(sendmailServes, mark)
		if err != nil || len(found) == 0 {
			return false, err
		}
		isReady := false
		err = within(s.network, func() (err error) {
			isReady, err = accepts(ctx, s.log, mark)
			return err
		})
		return isReady, err
	})
}

// Reload has the daemon read its configuration again: it starts itself anew, as the same process.
func (s *Sendmail) Reload(ctx context.Context) error {
	if s.daemon == nil {
		return errors.New("reloading sendmail: it is not running")
	}
	mark := s.log.Mark()
	if err := s.daemon.signal(syscall.SIGHUP); err != nil {
		return fmt.Errorf("reloading sendmail: %w", err)
	}
	if err := s.serves(ctx, mark); err != nil {
		return fmt.Errorf("reloading sendmail: %w\n%s", err, s.log.Tail(30))
	}
	return nil
}

// Stop ends the daemon and returns when none of its processes is left; those that serve a client and do not end by
// themselves are killed. Stopping a stopped Sendmail does nothing.
func (s *Sendmail) Stop(ctx context.Context) error {
	if s.daemon == nil {
		return nil
	}
	err := s.daemon.endProcess(ctx, syscall.SIGTERM)
	s.daemon = nil
	err = errors.Join(err, expel(ctx, s.queue))
	if s.syslog != nil {
		err = errors.Join(err, s.syslog.conn.Close())
	}
	if err != nil {
		return fmt.Errorf("stopping sendmail: %w\n%s", err, s.log.Tail(30))
	}
	return nil
}

// expel asks the processes that live in dir to end, and waits until they have; a process that serves a client outlives its
// daemon. One that does not end within the grace is killed, and that is an error.
func expel(ctx context.Context, dir string) error {
	pids, err := livingIn(dir)
	if err != nil {
		return err
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("ending process %d of %s: %w", pid, dir, err)
		}
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
	defer cancel()
	return evict(grace, dir)
}

// CF returns the path of the configuration.
func (s *Sendmail) CF() string { return filepath.Join(s.view.dir, "sendmail.cf") }

// Script writes a script that runs a program on the machine as Sendmail sees it, and returns its path; for the program,
// Sendmail is installed.
func (s *Sendmail) Script(path string) (string, error) {
	return s.view.writeScript(filepath.Dir(s.program), path)
}
