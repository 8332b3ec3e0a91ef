package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	stdlog "log"
	"net"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"
	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/cmd/ehlogate/internal/httpapi"
	"ehlogate/cmd/ehlogate/internal/reload"
	"ehlogate/cmd/ehlogate/internal/server"
	"ehlogate/lists"
	"ehlogate/milter"
	"ehlogate/policyd"
	"ehlogate/policyd/delegation"
	"ehlogate/policyd/memcache"
	"ehlogate/policyd/socketmap"
	"ehlogate/policyd/tcptable"
)

const (
	// grace is how long what is in flight may take when the daemon stops.
	grace = 5 * time.Second
	// unusable is how long a start with a config that cannot be used takes, if
	// sockets are held; see hangUp.
	unusable = time.Second
	// writeTimeout is how long a reply may take to leave.
	writeTimeout = 10 * time.Second
)

func newServe(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Answer mail servers until told to stop",
		Long: `Answers mail servers on the sockets that systemd holds, and on those of [listen]
in the config. Without either it listens on loopback:

    memcache   127.0.0.1:10046   Postfix (recommended: it has a backup)
    socketmap  127.0.0.1:10041   Postfix, Sendmail
    tcp_table  127.0.0.1:10042   Postfix, Exim
    policy     127.0.0.1:10043   Postfix, to see and enforce what was decided
    milter     127.0.0.1:10044   Postfix, Sendmail, likewise
    http       127.0.0.1:10045   /healthz /metrics /api/v1/{decision,lists,reputation}

For sockets passed by systemd, FileDescriptorName= of the unit selects the
protocol; else the address in [listen], else the file name.

Edits of list files take effect by themselves. SIGHUP reads config and lists
again: a config with an error is refused as a whole, and a list with an error
stays as it was. SIGTERM ends it.

A list that cannot be loaded does not stop the start. A config that cannot be
used does, with exit code 78; a socket that cannot be opened with 1, but if
systemd holds others, those are served.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			signal.Ignore(syscall.SIGPIPE) // a log reader that dies is not our end
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, os.Interrupt)
			defer stop()
			hup := make(chan os.Signal, 1)
			signal.Notify(hup, syscall.SIGHUP)
			defer signal.Stop(hup)
			return serve(ctx, o, hup, cmd.ErrOrStderr())
		},
	}
}

func serve(ctx context.Context, o *options, hup <-chan os.Signal, stderr io.Writer) error {
	held, heldErr := server.Inherited()
	cfg, err := o.load()
	if err != nil {
		hangUp(ctx, held, unusable)
		return exitError{exitConfig, err}
	}
	lines := newLogWriter(stderr)
	defer lines.Close()
	log := newLogger(cfg.Log, lines)
	if cfg.File == "" {
		log.Warnf("no config file: serving built-in defaults, every client is offered STARTTLS (write %s, or name a file with -c)", config.DefaultFile)
	}
	if heldErr != nil {
		log.WithError(heldErr).Error("no answer on a socket that was passed by the service manager")
	}
	// Before the lists, so that whoever asks waits for them instead of being refused.
	sockets, missing, err := openSockets(held, &cfg.Listen, log)
	if err != nil {
		return exitError{exitWrong, err}
	}
	eng := reload.New(cfg, o.load, clock, log)
	metrics := httpapi.NewMetrics(eng)
	watch := httpapi.NewRecorder(metrics, log)
	httpConn, stopHTTP := httpapi.ServeConn((&httpapi.API{Engine: eng, Metrics: metrics, Watch: watch, Missing: missing}).Handler(), log)
	defer stopHTTP()

	backend := func(name string, d policyd.Decider) policyd.Backend {
		return policyd.Backend{Decider: d, Keywords: eng.Keywords, Fault: func(reason string, about []byte) { watch.Fault(name, reason, about) }}
	}
	lookup := func(name string, make func(policyd.Backend) policyd.Protocol) func(context.Context, net.Conn) {
		b := backend(name, watch.LoggedDecider(name, eng))
		p := make(b)
		return func(ctx context.Context, c net.Conn) { policyd.Serve(ctx, c, p, b.Fault) }
	}
	policy := &delegation.Server{
		Backend: backend("policy", watch.Instrumented("policy", policyd.DeciderFunc(eng.Review))), // what it decides over is logged by its outcome
		Actions: func(d lists.Decision) *delegation.Actions { return &eng.SnapshotOf(d).Config.Policy },
		Outcome: watch.Outcomes("policy"),
	}
	stdlog.SetFlags(0)
	stdlog.SetOutput(milterLog{log, watch}) // where go-milter tells of broken peers, and of panics
	filter := &milter.Server{
		Decider: watch.Instrumented("milter", policyd.DeciderFunc(eng.Review)),
		Options: func(d lists.Decision) milter.Options {
			c := eng.SnapshotOf(d).Config
			return milter.Options{RequireReply: c.RequireReply, AddHeader: c.Milter.AddHeader}
		},
		Outcome: watch.Outcomes("milter"),
		Fault:   func(reason string) { watch.Fault("milter", reason, nil) },
	}
	handlers := map[string]func(context.Context, net.Conn){
		"memcache":  lookup("memcache", func(b policyd.Backend) policyd.Protocol { return &memcache.Server{Backend: b} }),
		"socketmap": lookup("socketmap", func(b policyd.Backend) policyd.Protocol { return &socketmap.Server{Backend: b} }),
		"tcp_table": lookup("tcp_table", func(b policyd.Backend) policyd.Protocol { return &tcptable.Server{Backend: b} }),
		"policy":    func(ctx context.Context, c net.Conn) { policyd.Serve(ctx, c, policy.Connection(), policy.Fault) },
		"milter":    filter.Serve,
		"http":      httpConn,
		unknown:     func(context.Context, net.Conn) {}, // to be hung up on is better than to wait
	}

	// From here on, what is started ends with ctx.
	ctx, cancel := context.WithCancelCause(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel(nil) // before the wait
	lookups := 0
	if cfg.UsesDNS() {
		lookups = cfg.DNS.Cache.MaxLookups // each has a socket
	}
	conns := fitFiles(cfg.Listen.MaxConnections, len(sockets), lookups, log)
	var servers []*server.Server
	for _, s := range sockets { // each for itself: a crowd at one takes no place from those at another
		server := &server.Server{
			Name: s.protocol, Handler: handlers[s.protocol], MaxConns: conns, WriteTimeout: writeTimeout, Grace: grace,
			Log: logrus.NewEntry(log), OnConns: metrics.Conns(s.protocol),
			OnFault: func(reason string) { watch.Fault(s.protocol, reason, nil) },
		}
		if s.protocol == "http" {
			server.MaxConns, server.WriteTimeout = min(conns, maxHTTP), 0 // net/http has its own
		}
		servers = append(servers, server)
		running.Go(func() {
			if err := server.Serve(ctx, s); err != nil {
				cancel(err)
			}
		})
	}
	reload := make(chan func())
	running.Go(func() { eng.Run(ctx, reload) })
	running.Go(func() { watch.Run(ctx) })
	running.Go(func() {
		watchdog(ctx, log, func(ctx context.Context) {
			eng.Review(ctx, lists.Client{})
			for _, s := range servers {
				s.Conns()
			}
		})
	})
	log.WithFields(logrus.Fields{"lists": len(cfg.Lists), "default": cfg.DefaultWord(), "mode": cfg.Mode.String(), "version": version()}).Info("serving")
	notify(log, sd.SdNotifyReady)
	for {
		select {
		case <-hup:
			notify(log, sd.SdNotifyReloading+"\n"+sd.SdNotifyMonotonicUsec())
			select {
			case reload <- func() { notify(log, sd.SdNotifyReady+"\n"+status(eng)) }:
			case <-ctx.Done():
			}
		case <-ctx.Done():
			log.Info("stopping")
			notify(log, sd.SdNotifyStopping)
			if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
				return exitError{exitWrong, err}
			}
			return nil
		}
	}
}

// status is what the service manager shows about the last reload.
func status(eng *reload.Manager) string {
	if err := eng.ReloadError(); err != nil {
		first, _, _ := strings.Cut(err.Error(), "\n")
		return "STATUS=reload refused, the old config stays: " + first
	}
	return "STATUS="
}

// maxHTTP is how many connections the HTTP interface may have: it is for a few
// who look, and must not starve those who are answered.
const maxHTTP = 64

// fitFiles lowers the number of connections for each socket to what the limit
// on open files allows, so that those of one never take the last descriptor
// from another, nor from questions to DNS. Connections that are leaving count
// too.
func fitFiles(conns, sockets, lookups int, log *logrus.Logger) int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return conns
	}
	spare := 64 + 2*maxHTTP + min(lookups, int(min(limit.Cur, 1<<30))/2)
	if fits := (int(min(limit.Cur, 1<<30)) - spare) / (2 * max(sockets, 1)); fits < conns {
		fits = max(fits, 1)
		log.Warnf("the limit of %d open files allows %d connections for each socket, not %d (systemd: LimitNOFILE=)", limit.Cur, fits, conns)
		return fits
	}
	return conns
}

// milterLog logs what go-milter does, at debug; a panic of ours, which it has
// caught, is a fault as with every other protocol.
type milterLog struct {
	log   *logrus.Logger
	watch *httpapi.Recorder
}

func (w milterLog) Write(p []byte) (int, error) {
	if bytes.HasPrefix(p, []byte("panic ")) {
		w.watch.Fault("milter", "panic", p)
	}
	w.log.Debug(strings.TrimSpace(string(p)))
	return len(p), nil
}

func newLogger(c config.Log, w io.Writer) *logrus.Logger {
	log := logrus.New()
	log.SetOutput(w)
	log.SetLevel(c.Level)
	if c.JSON {
		log.SetFormatter(&logrus.JSONFormatter{TimestampFormat: time.RFC3339Nano})
	} else {
		log.SetFormatter(&logrus.TextFormatter{FullTimestamp: true, DisableColors: true})
	}
	return log
}
