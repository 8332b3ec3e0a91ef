package mtatest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"ehlogate/cmd/ehlogate/internal/test/netns"
	"ehlogate/lists/test/testenv"
)

// Service is one mail port of a Postfix instance. Each gets a free port, the same on 127.0.0.1 and ::1.
type Service struct {
	Name    string            // the caller's name for it, made of letters and digits
	Command string            // "smtpd" (also if empty) or "postscreen"
	Chroot  bool              // run smtpd in a jail, in the queue directory
	Procs   int               // at most so many smtpd processes at a time; 0 is Postfix's default of 100
	Options map[string]string // its own main.cf parameters (-o)
	Behind  map[string]string // postscreen only: parameters of the smtpd to which it hands its clients
}

// PostfixConfig describes an instance.
type PostfixConfig struct {
	Dir      string            // an empty directory that every user may enter, see TempDir
	Services []Service         // the mail ports
	Main     string            // text appended to main.cf; its parameters take the place of ours
	Master   string            // text appended to master.cf
	Files    map[string]string // more files for the configuration directory: name and content

	Host     string           // what it calls itself; empty: mx.mta.test
	Network  *netns.Namespace // where it runs; nil: where we are
	Resolver string           // the content of its resolv.conf; empty: that of the machine
}

// Layout tells where an instance below dir keeps its things, for callers that need the paths in their configuration.
type Layout struct {
	Config string // main.cf, master.cf, the caller's files, cert.pem
	Queue  string // the queue directory, and the jail of chrooted services
	Data   string // Postfix's own data
	Mail   string // the maildir into which every message to any user @mta.test goes
	Log    string // the log file
}

// LayoutOf returns the layout of an instance with dir as PostfixConfig.Dir.
func LayoutOf(dir string) Layout {
	return Layout{
		Config: filepath.Join(dir, "etc"),
		Queue:  filepath.Join(dir, "queue"),
		Data:   filepath.Join(dir, "data"),
		Mail:   filepath.Join(dir, "mail", "box"),
		Log:    filepath.Join(dir, "log", "maillog"),
	}
}

// Postfix is one instance. Its methods are for one goroutine; the addresses and the log may be used by many.
type Postfix struct {
	Layout
	host, resolver string
	network        *netns.Namespace
	ports          map[string]int
	master         *child
}

// daemons is where Debian keeps the Postfix daemons.
const daemons = "/usr/lib/postfix/sbin"

// NewPostfix writes the configuration of an instance, and chooses its ports; nothing runs yet. It fails if Postfix is not
// installed (the error says what to install), if the caller is not root, or if a file cannot be written.
func NewPostfix(cfg PostfixConfig) (*Postfix, error) {
	if _, err := os.Stat(filepath.Join(daemons, "master")); err != nil {
		return nil, fmt.Errorf("postfix is needed (Debian: apt-get install postfix): %w", err)
	}
	if os.Geteuid() != 0 {
		return nil, errors.New("postfix can be started by root only")
	}
	p := &Postfix{Layout: LayoutOf(cfg.Dir), host: cmp.Or(cfg.Host, hostName), network: cfg.Network, ports: map[string]int{}}
	ports, err := FreePorts(len(cfg.Services))
	if err != nil {
		return nil, err
	}
	for i, s := range cfg.Services {
		p.ports[s.Name] = ports[i]
	}
	if err := p.makeDirs(); err != nil {
		return nil, err
	}
	if err := writeCert(p.Config, p.host); err != nil {
		return nil, err
	}
	main, err := p.mainCF(cfg.Main)
	if err != nil {
		return nil, err
	}
	files := map[string]string{
		"main.cf":   main,
		"master.cf": p.masterCF(cfg.Services) + cfg.Master + "\n",
	}
	maps.Copy(files, cfg.Files)
	if cfg.Resolver != "" {
		p.resolver = filepath.Join(p.Config, "resolv.conf")
		files["resolv.conf"] = cfg.Resolver
	}
	if err := writeFiles(p.Config, files); err != nil {
		return nil, err
	}
	return p, nil
}

// Addr returns the IPv4 address, host:port, of a service. It panics on a name that is not in the configuration.
func (p *Postfix) Addr(service string) string { return p.dialAddr("127.0.0.1", service) }

// Addr6 is Addr for IPv6.
func (p *Postfix) Addr6(service string) string { return p.dialAddr("::1", service) }

func (p *Postfix) dialAddr(host, service string) string {
	port, ok := p.ports[service]
	if !ok {
		panic(fmt.Sprintf("mtatest: no service %q among %v", service, slices.Sorted(maps.Keys(p.ports))))
	}
	return net.JoinHostPort(host, strconv.Itoa(port))
}

// Pids returns the processes of the instance, in the order of their numbers: the master, and the daemons that it has running
// now. It fails if the instance does not run.
func (p *Postfix) Pids() ([]int, error) {
	if p.master == nil {
		return nil, errors.New("listing the processes of postfix: it is not running")
	}
	pids, err := livingIn(p.Queue)
	slices.Sort(pids)
	return pids, err
}

// Maillog is the log of all programs of the instance.
func (p *Postfix) Maillog() *Log { return &Log{path: p.Layout.Log} }

var (
	started  = regexp.MustCompile(`master\[\d+\]: daemon started`)
	reloaded = regexp.MustCompile(`master\[\d+\]: reload `)
)

// Start starts the instance and returns when it accepts connections. After an error nothing runs, and the error carries the
// end of the log.
func (p *Postfix) Start(ctx context.Context) error {
	mark := p.Maillog().Mark()
	master, err := p.startMaster()
	if err != nil {
		return fmt.Errorf("starting postfix: %w", err)
	}
	p.master = master
	err = testenv.Await(ctx, func() (bool, error) {
		if exit, ended := master.exited(); ended {
			return false, fmt.Errorf("it ended: %w\n%s", exit, p.check(ctx))
		}
		found, err := p.Maillog().Lines(started, mark)
		return len(found) > 0, err
	})
	if err == nil {
		err = p.checkPid()
	}
	if err != nil {
		return errors.Join(fmt.Errorf("starting postfix: %w\n%s", err, p.Maillog().Tail(30)), p.Stop(ctx))
	}
	return nil
}

// startMaster starts the first process.
func (p *Postfix) startMaster() (c *child, err error) {
	cmd := exec.Command(filepath.Join(daemons, "master"), "-d", "-c", p.Config)
	if p.resolver != "" {
		cmd = exec.Command("/bin/sh", append([]string{"-ec", `mount --bind "$1" /etc/resolv.conf; shift; exec "$@"`, "sh", p.resolver}, cmd.Args...)...)
	}
	// Until it has read its configuration, only its environment can tell the master not to complain to syslog.
	cmd.Env = append(os.Environ(), "POSTLOG_SERVICE="+filepath.Join(p.Queue, "public", "postlog"), "POSTLOG_HOSTNAME="+p.host)
	cmd.SysProcAttr = childAttr(syscall.SIGTERM)
	if p.resolver != "" {
		cmd.SysProcAttr.Unshareflags = syscall.CLONE_NEWNS
	}
	start := func() (err error) {
		c, err = startChild(cmd)
		return err
	}
	return c, within(p.network, start)
}

// check returns what Postfix says is wrong with the configuration. A master that ends before it has a log says that only up to
// Postfix 3.7.
func (p *Postfix) check(ctx context.Context) (said []byte) {
	run := func() (err error) {
		said, err = exec.CommandContext(ctx, "/usr/sbin/postfix", "-c", p.Config, "check").CombinedOutput()
		return err
	}
	err := within(p.network, run)
	return fmt.Appendf(said, "postfix check: %v", err)
}

// checkPid makes sure that the master that holds the instance's lock is the one we started.
func (p *Postfix) checkPid() error {
	path := filepath.Join(p.Queue, "pid", "master.pid")
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("reading the master's pid: %w", err)
	}
	if pid, err := strconv.Atoi(strings.TrimSpace(string(text))); err != nil || pid != p.master.pid() {
		return fmt.Errorf("%s holds %q, expected process %d", path, text, p.master.pid())
	}
	return nil
}

// stopGrace is what Stop allows the daemons, once their master is gone, even if the context has ended. They end at once, but on
// a busy machine.
const stopGrace = 20 * time.Second

// Stop ends the instance and returns when none of its processes is left. What has not ended by the end of the context is
// killed, and reported as an error. Stopping a stopped instance does nothing.
func (p *Postfix) Stop(ctx context.Context) error {
	if p.master == nil {
		return nil
	}
	err := p.master.endProcess(ctx, syscall.SIGTERM)
	p.master = nil
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
	defer cancel()
	if err = errors.Join(err, evict(grace, p.Queue)); err != nil {
		return fmt.Errorf("stopping postfix: %w\n%s", err, p.Maillog().Tail(30))
	}
	return nil
}

// Reload has the instance read its configuration and its tables again, as "postfix reload" does, and returns when the
// master has done so; daemons finish the client they are serving first.
func (p *Postfix) Reload(ctx context.Context) error {
	mark := p.Maillog().Mark()
	if p.master == nil {
		return errors.New("reloading postfix: it is not running")
	}
	if err := p.master.signal(syscall.SIGHUP); err != nil {
		return fmt.Errorf("reloading postfix: %w", err)
	}
	if _, err := p.Maillog().Await(ctx, reloaded, mark); err != nil {
		return fmt.Errorf("reloading postfix: %w", err)
	}
	return nil
}

// Postmap asks a table, written "type:name", for a key, as the command postmap -q does; found reports whether it holds the
// key. It fails if the table cannot be asked.
func (p *Postfix) Postmap(ctx context.Context, key, table string) (value string, found bool, err error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "/usr/sbin/postmap", "-c", p.Config, "-q", key, table)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return strings.TrimRight(stdout.String(), "\n"), true, nil
	case errors.As(err, &exit) && exit.ExitCode() == 1 && stderr.Len() == 0:
		return "", false, nil
	}
	return "", false, fmt.Errorf("postmap -q %q %s: %w\n%s", key, table, err, stderr.Bytes())
}

// Mails returns the messages delivered so far, oldest first.
func (p *Postfix) Mails() ([]string, error) { return p.mailbox().Mails() }

// AwaitMail waits for a delivered message that matches re and returns it. An error carries the end of the log.
func (p *Postfix) AwaitMail(ctx context.Context, re *regexp.Regexp) (string, error) {
	return p.mailbox().AwaitMail(ctx, re)
}

func (p *Postfix) mailbox() mailbox { return mailbox{p.Mail, p.Maillog()} }
