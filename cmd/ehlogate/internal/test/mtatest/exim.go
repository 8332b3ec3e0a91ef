package mtatest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"

	"ehlogate/cmd/ehlogate/internal/test/netns"
	"ehlogate/lists/test/testenv"
)

// EximConfig describes an Exim.
type EximConfig struct {
	Dir  string            // an empty directory that every user may enter, see TempDir
	Port int               // on 127.0.0.1 and ::1, see FreePorts; 0: Main says where
	Etc  map[string]string // files of /etc as it sees them, by name
	Main string            // text for the main section of its configuration, behind ours; its options take the place of ours

	Network *netns.Namespace // where it runs; nil: where we are
}

// Exim is one Exim daemon (Debian's "light" one). It delivers all mail into its maildir. Its
// methods are for one goroutine; the addresses and the log may be used by many.
type Exim struct {
	mailbox
	program, dir, spool string
	port                int
	view                private
	network             *netns.Namespace
	daemon              *child
}

// NewExim writes the configuration of an Exim; nothing runs yet. It fails if Exim was not unpacked (the error says what to run), or if the caller is not root.
func NewExim(cfg EximConfig) (*Exim, error) {
	program, err := unpackedProgram("exim/usr/sbin/exim4")
	if err != nil {
		return nil, err
	}
	as, err := eximOwner()
	if err != nil {
		return nil, err
	}
	logs := filepath.Join(cfg.Dir, "log")
	e := &Exim{
		mailbox: mailbox{filepath.Join(cfg.Dir, "box"), &Log{path: filepath.Join(logs, "main")}},
		program: program, dir: cfg.Dir, spool: filepath.Join(cfg.Dir, "spool"), port: cfg.Port, network: cfg.Network,
	}
	if e.view, err = newPrivate(filepath.Join(cfg.Dir, "etc"), "exim", "", cfg.Etc); err != nil {
		return nil, err
	}
	if err := writeCert(e.view.dir, hostName); err != nil {
		return nil, err
	}
	if err := e.makeMaildir(as); err != nil {
		return nil, err
	}
	for _, dir := range []string{e.spool, logs} {
		if err := os.Mkdir(dir, 0o750); err != nil {
			return nil, fmt.Errorf("making a directory of exim: %w", err)
		}
	}
	for _, path := range []string{e.spool, logs, e.view.dir + "/cert.pem", e.view.dir + "/key.pem"} {
		if err := os.Chown(path, as.uid, as.gid); err != nil {
			return nil, fmt.Errorf("giving %s to its user: %w", path, err)
		}
	}
	return e, writeFiles(e.view.dir, map[string]string{"exim.conf": withoutSet(e.configText(), cfg.Main) + cfg.Main + eximSections})
}

// eximOwner returns the ids of Exim's user.
func eximOwner() (owner, error) {
	u, err := user.Lookup("Debian-exim")
	if err != nil {
		return owner{}, fmt.Errorf("looking for the user of exim: %w", err)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return owner{}, fmt.Errorf("user of exim: %w", err)
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return owner{}, fmt.Errorf("group of exim: %w", err)
	}
	return owner{uid, gid}, nil
}

// configText returns the first part of the main section: TLS, no lookups, and every HELO name accepted. Exim starts itself anew
// for a delivery; it has no setuid bit here, so it stays its own user.
func (e *Exim) configText() string {
	interfaces := ""
	if e.port != 0 {
		interfaces = fmt.Sprintf("daemon_smtp_ports = %d\nlocal_interfaces = <; 127.0.0.1", e.port)
		if hasIPv6() {
			interfaces += " ; ::1"
		}
	}
	return fmt.Sprintf(`exim_path = %s
spool_directory = %s
log_file_path = %s/%%s
pid_file_path = %s/pid
primary_hostname = %s
keep_environment =
%s
smtp_accept_max = 0
rfc1413_query_timeout = 0s
dsn_advertise_hosts = *
helo_accept_junk_hosts = *
tls_certificate = %[7]s/cert.pem
tls_privatekey = %[7]s/key.pem
acl_smtp_rcpt = accept
deliver_drop_privilege
BOX = %[8]s
`, e.program, e.spool, filepath.Dir(e.log.path), e.dir, hostName, interfaces, e.view.dir, e.path)
}

// eximSections is the rest of the configuration: all mail into the maildir.
const eximSections = `
begin routers
all:
  driver = accept
  transport = box
begin transports
box:
  driver = appendfile
  directory = BOX
  maildir_format
  user = Debian-exim
`

// Addr returns the IPv4 address, host:port.
func (e *Exim) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(e.port)) }

// Addr6 is Addr for IPv6.
func (e *Exim) Addr6() string { return net.JoinHostPort("::1", strconv.Itoa(e.port)) }

// Maillog is Exim's main log.
func (e *Exim) Maillog() *Log { return e.log }

// Paniclog is where Exim says what should not happen. It is empty if all is well.
func (e *Exim) Paniclog() *Log { return &Log{path: filepath.Join(filepath.Dir(e.log.path), "panic")} }

// eximServes is logged when the ports are open.
var eximServes = regexp.MustCompile(` daemon started: `)

// Start starts the daemon and returns when it accepts connections. After an error nothing runs, and the error carries the
// ends of its logs.
func (e *Exim) Start(ctx context.Context) error {
	mark := e.log.Mark()
	out := &Log{path: filepath.Join(e.dir, "stderr")}
	var err error
	if e.daemon, err = e.view.start(e.network, out, e.program, "-C", filepath.Join(e.view.dir, "exim.conf"), "-bdf"); err != nil {
		return fmt.Errorf("starting exim: %w", err)
	}
	if err := e.serves(ctx, mark); err != nil {
		return errors.Join(fmt.Errorf("starting exim: %w\n%s\n%s", err, out.Tail(10), e.log.Tail(30)), e.Stop(ctx))
	}
	return nil
}

// serves waits until the daemon says behind mark that it accepts connections.
func (e *Exim) serves(ctx context.Context, mark int64) error {
	return testenv.Await(ctx, func() (bool, error) {
		if exit, ended := e.daemon.exited(); ended {
			return false, fmt.Errorf("it ended: %w", exit)
		}
		found, err := e.log.Lines(eximServes, mark)
		return len(found) > 0, err
	})
}

// Reload has the daemon read its configuration again: it starts itself anew, as the same process.
func (e *Exim) Reload(ctx context.Context) error {
	if e.daemon == nil {
		return errors.New("reloading exim: it is not running")
	}
	mark := e.log.Mark()
	if err := e.daemon.signal(syscall.SIGHUP); err != nil {
		return fmt.Errorf("reloading exim: %w", err)
	}
	if err := e.serves(ctx, mark); err != nil {
		return fmt.Errorf("reloading exim: %w\n%s", err, e.log.Tail(30))
	}
	return nil
}

// eximStep finds what Exim logs of a message: that it was received, and that there is no more to do for it, or not now. (That of
// Debian is not where its configuration looks for the program that delivers.)
var eximStep = regexp.MustCompile(`^\S+ \S+ (\w+-\w+-\w+) (<=|==|\*\*|Completed|Frozen|re-exec)`)

// isDelivering reports whether a message was received and not delivered yet.
func (e *Exim) isDelivering() (bool, error) {
	lines, err := e.log.Lines(eximStep, 0)
	open := map[string]bool{}
	for _, line := range lines {
		if step := eximStep.FindStringSubmatch(line); step[2] == "<=" {
			open[step[1]] = true
		} else {
			delete(open, step[1])
		}
	}
	return len(open) > 0, err
}

// Stop ends the daemon and returns when none of its processes is left; those that serve a client and do not end by
// themselves are killed. Stopping a stopped Exim does nothing.
func (e *Exim) Stop(ctx context.Context) error {
	if e.daemon == nil {
		return nil
	}
	// Half of a delivery that is ended says in the panic log that it lost the other half.
	grace, cancel := context.WithTimeout(ctx, stopGrace)
	defer cancel()
	_ = testenv.Await(grace, func() (bool, error) {
		delivering, err := e.isDelivering()
		return !delivering, err
	})
	err := e.daemon.endProcess(ctx, syscall.SIGTERM)
	e.daemon = nil
	if err = errors.Join(err, expel(ctx, e.spool)); err != nil {
		return fmt.Errorf("stopping exim: %w\n%s", err, e.log.Tail(30))
	}
	return nil
}

// Config returns the path of the configuration.
func (e *Exim) Config() string { return filepath.Join(e.view.dir, "exim.conf") }

// Script writes a script that runs a program on the machine as Exim sees it, and returns its path; for the program, Exim
// is installed.
func (e *Exim) Script(path string) (string, error) {
	return e.view.writeScript(filepath.Dir(e.program), path)
}
