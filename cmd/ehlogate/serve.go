package main

import (
	"cmp"
	"context"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"
	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/cmd/ehlogate/internal/httpapi"
	"ehlogate/cmd/ehlogate/internal/logformat"
	"ehlogate/cmd/ehlogate/internal/page"
	"ehlogate/cmd/ehlogate/internal/server"
	"ehlogate/cmd/ehlogate/internal/state"
	"ehlogate/cmd/ehlogate/internal/telemetry"
	"ehlogate/lists"
)

const (
	// stopTimeout is how long answers in flight may take when the daemon stops.
	stopTimeout = 5 * time.Second
	// hangUpTime is how long a start with a config that cannot be used takes, if sockets are inherited; see hangUp.
	hangUpTime = time.Second
	// writeTimeout is how long a reply may take to leave.
	writeTimeout = 10 * time.Second
)

func newServe(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Answer mail servers",
		Long: `Answers mail servers, in the foreground, until it receives SIGTERM. It listens
on the sockets that systemd passes and on the addresses in [listen] of the
config. With neither it listens on loopback:

    memcache   127.0.0.1:10046   Postfix (recommended: it has a backup)
    socketmap  127.0.0.1:10041   Postfix, Sendmail
    tcp_table  127.0.0.1:10042   Postfix, Exim
    policy     127.0.0.1:10043   Postfix: logs and enforces the decision
    milter     127.0.0.1:10044   Postfix, Sendmail: the same
    http       127.0.0.1:10045   the status page, /healthz, /metrics, /api/v1/

For a socket passed by systemd, FileDescriptorName= of its unit selects the
protocol; else its address, in [listen] or among these ports; else the name of
the socket file.

Edits of list files take effect by themselves. Edits of the config take effect
on SIGHUP. A config with an error is refused as a whole, and the daemon goes on
with the old one. A list with an error stays as it was.

A list that cannot be loaded does not prevent the start. A config that cannot be
used does, with exit status 78; an address that cannot be opened with 1, unless
systemd passes other sockets: then those are served.`,
		Args: refuseArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			signal.Ignore(syscall.SIGPIPE) // the daemon survives the reader of its log
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, os.Interrupt)
			defer stop()
			hup := make(chan os.Signal, 1)
			signal.Notify(hup, syscall.SIGHUP)
			defer signal.Stop(hup)
			return serve(ctx, o, hup, cmd.ErrOrStderr())
		},
	}
}

// serve runs the daemon until ctx ends.
func serve(ctx context.Context, o *options, hup <-chan os.Signal, stderr io.Writer) error {
	inherited, inheritedErr := server.Inherited()
	cfg, err := o.loadConfig()
	if err != nil {
		hangUp(ctx, inherited, hangUpTime)
		return exitError{exitConfig, err}
	}
	lines := newLogWriter(stderr, logformat.New(cfg.Log.JSON))
	defer lines.Close()
	log := newLogger(cfg.Log, lines)
	if cfg.File == "" {
		log.Warnf("no config file: using built-in defaults, all clients are offered STARTTLS (write %s, or name a file with -c)", config.DefaultFile)
	}
	if inheritedErr != nil {
		log.WithError(inheritedErr).Error("cannot use a socket that the service manager passed")
	}
	// Sockets come before the lists: clients then wait for the lists, instead of being refused.
	sockets, missing, err := openSockets(inherited, &cfg.Listen, log)
	if err != nil {
		return exitError{exitWrong, err}
	}
	manager := state.New(cfg, o.loadConfig, clock, log)
	metrics := telemetry.NewMetrics(manager)
	metrics.SetBuild(cmp.Or(packageVersion, version), gitRevision())
	metrics.SetUnserved(len(missing))
	recorder := telemetry.NewRecorder(metrics, log)
	api := &httpapi.API{Manager: manager, Metrics: metrics, Recorder: recorder, Version: fullVersion(), NotServed: missing}
	api.Page = page.New(api)
	httpHandler, stopHTTP := httpapi.ServeConn(api.Handler())
	defer stopHTTP()

	// From here on, all that is started ends with ctx, and the first error ends ctx.
	running, ctx := errgroup.WithContext(ctx)
	start := func(run func()) { running.Go(func() error { run(); return nil }) }
	servers := newServers(cfg, sockets, newHandlers(manager, recorder, httpHandler, log), metrics, recorder, log)
	for i, s := range servers {
		running.Go(func() error { return s.Serve(ctx, sockets[i]) })
	}
	reloads := make(chan func())
	start(func() { manager.Run(ctx, reloads) })
	start(func() { recorder.Run(ctx) })
	start(func() {
		runWatchdog(ctx, log, func(ctx context.Context) {
			manager.Review(ctx, lists.Client{})
			for _, s := range servers {
				s.Conns()
			}
		})
	})
	log.WithFields(logrus.Fields{"lists": len(cfg.Lists), "default": cfg.DefaultWord(), "mode": cfg.Mode.String(), "version": version}).Info("serving")
	notifyManager(log, sd.SdNotifyReady)
	forwardReloads(ctx, hup, reloads, manager, log)
	log.Info("stopping")
	notifyManager(log, sd.SdNotifyStopping)
	if err := running.Wait(); err != nil {
		return exitError{exitWrong, err}
	}
	return nil
}

// newServers returns a server for each socket. Each has its own connections: many clients at one socket take no place
// from those at another.
func newServers(cfg *config.Config, sockets []socket, handlers map[string]connHandler, metrics *telemetry.Metrics, recorder *telemetry.Recorder,
	log *logrus.Logger) (servers []*server.Server) {
	lookups := 0
	if cfg.UsesDNS() {
		lookups = cfg.DNS.Cache.MaxLookups // each has a socket
	}
	conns := fitOpenFiles(cfg.Listen.MaxConnections, len(sockets), lookups, log)
	for _, s := range sockets {
		server := &server.Server{
			Name: s.protocol, Handler: handlers[s.protocol], MaxConns: conns, WriteTimeout: writeTimeout, Grace: stopTimeout,
			Log: logrus.NewEntry(log), OnConns: metrics.Conns(s.protocol),
			OnFault: func(reason string) { recorder.Fault(s.protocol, reason, nil) },
		}
		if s.protocol == "http" {
			server.MaxConns, server.WriteTimeout = min(conns, maxHTTPConns), 0 // net/http has its own timeout
		}
		servers = append(servers, server)
	}
	return servers
}

// forwardReloads asks for a reload at each SIGHUP, until ctx ends, and tells the service manager about it.
func forwardReloads(ctx context.Context, hup <-chan os.Signal, reloads chan<- func(), manager *state.Manager, log *logrus.Logger) {
	for {
		select {
		case <-hup:
			notifyManager(log, sd.SdNotifyReloading+"\n"+sd.SdNotifyMonotonicUsec())
			select {
			case reloads <- func() { notifyManager(log, sd.SdNotifyReady+"\n"+reloadStatus(manager)) }:
			case <-ctx.Done():
			}
		case <-ctx.Done():
			return
		}
	}
}

// reloadStatus is what the service manager shows about the last reload.
func reloadStatus(manager *state.Manager) string {
	if err := manager.ReloadError(); err != nil {
		first, _, _ := strings.Cut(err.Error(), "\n")
		return "STATUS=reload failed; previous config stays in use: " + first
	}
	return "STATUS="
}

// maxHTTPConns is the most connections of the HTTP interface. Few operators use it, and they must not starve the mail
// servers.
const maxHTTPConns = 64

// fitOpenFiles lowers the number of connections for each socket to what the limit on open files allows, so that the
// connections of one socket never take the last descriptor from another, or from a DNS lookup. It counts connections
// that are being closed too.
func fitOpenFiles(conns, sockets, lookups int, log *logrus.Logger) int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return conns
	}
	spare := 64 + 2*maxHTTPConns + min(lookups, int(min(limit.Cur, 1<<30))/2)
	if fits := (int(min(limit.Cur, 1<<30)) - spare) / (2 * max(sockets, 1)); fits < conns {
		fits = max(fits, 1)
		log.Warnf("the limit of %d open files allows %d connections for each socket, not %d: raise the limit of open files (LimitNOFILE= or ulimit -n)", limit.Cur, fits, conns)
		return fits
	}
	return conns
}
