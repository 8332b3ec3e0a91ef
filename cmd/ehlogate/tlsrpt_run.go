package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/cmd/ehlogate/internal/replay"
	"ehlogate/cmd/ehlogate/internal/tlsreport"
	"ehlogate/lists/dnsclient"
	"ehlogate/lists/maillog"
	"ehlogate/lists/maillog/logfile"
	"ehlogate/lists/printable"
	"ehlogate/lists/tlsrpt"
)

const (
	exitTemporary = 75 // EX_TEMPFAIL of sysexits.h: the mail server tries again
	// retryFor is for how long a mail server may try again. It is shorter than any mail server waits until it returns the
	// mail to its sender.
	retryFor = 4 * time.Hour
)

// standardInput is the name of - in messages.
const standardInput = "standard input"

// tlsrptRun is a run of the command.
type tlsrptRun struct {
	*tlsrptFlags
	stdout, stderr io.Writer
	report         *tlsreport.Report
	now            time.Time
	broken         []error   // of reports that cannot be read, and of lists that cannot decide
	others         int       // messages without a report
	received       time.Time // of the message, by this mail server
}

// examine reads the reports, decides about their clients, and records what was found.
func (r *tlsrptRun) examine(ctx context.Context, o *options, stdin io.Reader, args []string) error {
	cfg, err := o.loadConfig()
	var resolver *dnsclient.Client
	switch {
	case err == nil:
		resolver = newResolver(cfg)
		r.report.SetDomains(cfg.Guard.Domains)
	case !r.mail:
		return err
	}
	each := func(i tlsrpt.Item) {
		if i.Mail != nil {
			r.received = i.Mail.Received
		}
		if err == nil {
			r.add(ctx, i, resolver)
		}
	}
	for _, path := range args {
		switch {
		case r.mail:
			tlsrpt.ReadMessage(standardInput, stdin, each)
		case path == "-":
			tlsrpt.Read(standardInput, stdin, each)
		default:
			tlsrpt.ReadPath(path, each)
		}
		if ctx.Err() != nil {
			return errors.New("interrupted")
		}
	}
	if err != nil {
		return err
	}
	return r.join(ctx, cfg)
}

// finishMail returns the exit status for a mail server: the report is taken, unless a fault on this side may be gone soon.
func (r *tlsrptRun) finishMail(err error) error {
	if err == nil && r.report.IsUnknown() {
		err = errors.New("the key of the sender could not be looked up in DNS")
	}
	if err != nil && r.now.Sub(r.received).Abs() < retryFor {
		return exitError{exitTemporary, err}
	}
	return nil
}

// add takes one report, or why there is none.
func (r *tlsrptRun) add(ctx context.Context, i tlsrpt.Item, resolver dnsclient.Resolver) {
	switch {
	case ctx.Err() != nil:
	case errors.Is(i.Err, tlsrpt.ErrNoReport):
		r.others++
	case i.Err != nil:
		r.broken = append(r.broken, fmt.Errorf("%s: %w", i.Source, i.Err))
	default:
		r.report.Add(ctx, i, resolver, r.now)
	}
}

// join decides about the clients, and records what was found.
func (r *tlsrptRun) join(ctx context.Context, cfg *config.Config) error {
	if r.others > 0 && len(r.report.Reports) > 0 {
		r.report.Notes = append(r.report.Notes, formatCount(r.others, "message has", "messages have")+" no TLS report")
	}
	policy := replay.Load(ctx, cfg, r.withDNS)
	defer policy.Close()
	r.broken = append(r.broken, policy.Unavailable...)
	if policy.WithoutDNS && len(r.report.Clients) > 0 {
		r.report.Notes = append(r.report.Notes, "DNS lists count as unavailable, and names are those of the log: --with-dns asks DNS")
	}
	r.report.Decide(ctx, policy, r.now)
	if err := r.readLogs(ctx, policy); err != nil {
		return err
	}
	if !r.record {
		return nil
	}
	if cfg.TLSRPT.State == "" {
		return errors.New(`--record: [tlsrpt] state = "" keeps no record: remove that line`)
	}
	if found := r.report.Findings(r.now); len(found) > 0 {
		return tlsrpt.Record(cfg.TLSRPT.State, r.now, found)
	}
	return nil
}

// readLogs adds what the mail logs tell of the clients.
func (r *tlsrptRun) readLogs(ctx context.Context, policy *replay.Policy) error {
	if len(r.logs) == 0 || len(r.report.Clients) == 0 {
		return nil
	}
	files, err := logfile.Find(r.logs)
	if err != nil {
		return explainUnread(err)
	}
	r.report.WatchLog()
	reader := maillog.NewReader(maillog.Options{}, func(s *maillog.Session) { r.report.AddSession(ctx, policy, s) })
	for _, file := range files {
		reader.SetNewest(file.Newest)
		l, err := file.Open(ctx)
		if err != nil {
			return explainUnread(err)
		}
		err = logfile.EachLine(ctx, l, func(line []byte) { reader.Read(line) })
		if closed := l.Close(); err == nil {
			err = closed
		}
		if err != nil {
			return explainUnread(fmt.Errorf("%s: %w", file.Path, err))
		}
	}
	reader.Flush()
	return nil
}

func (r *tlsrptRun) write() error {
	if r.json {
		return printable.WriteJSON(r.stdout, r.report)
	}
	_, err := io.WriteString(r.stdout, r.report.Text())
	return err
}

// newResolver returns the resolver of a config, or that of the system. If there is none, no key can be looked up.
func newResolver(cfg *config.Config) *dnsclient.Client {
	o := dnsclient.Options{Servers: cfg.DNS.Resolvers, Timeout: cfg.DNS.Timeout}
	if len(o.Servers) == 0 {
		o.Servers, _ = dnsclient.SystemServers()
	}
	return dnsclient.New(o)
}
