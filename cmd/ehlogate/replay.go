package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/cmd/ehlogate/internal/replay"
	"ehlogate/lists/maillog"
	"ehlogate/lists/maillog/logfile"
	"ehlogate/lists/printable"
)

// gcPercent bounds garbage to half of what is in use.
const gcPercent = 50

type replayFlags struct {
	since, old                                 string
	top                                        int
	journal, json, sessions, redacted, withDNS bool
}

func newReplay(o *options) *cobra.Command {
	var f replayFlags
	cmd := &cobra.Command{
		Use:   "replay [LOG...]",
		Short: "Show from mail logs which clients fail at TLS, and what a policy would do",
		Long: `Reads mail logs of Postfix, Sendmail and Exim, and shows which clients cannot do
TLS, why, and what would help; and what the policy would have done: how many
sessions would have been suppressed, and which mail would go in the clear.

LOG is a file, compressed or not (gzip, zstd, xz, bzip2), a pattern such as
'/var/log/mail.log*', or - for standard input. The parts of a rotated log are
read in their order. Without LOG it is the log of this machine with its rotated
parts, or the journal if there is none.

The decision is the daemon's, with the clock of the log. DNS lists count as
unavailable, and names are those that the mail server verified; --with-dns asks
DNS, as it is today. HELO names count where the log has them. Nothing is
changed, and no mail server or daemon is queried.

Lists with learn begin empty and learn from the log, in memory: the report says
which clients they would have learned, and later sessions are decided by them.
In the log these clients fail on, since STARTTLS was offered to them.

An address counts as incapable if its failures say that it has no version,
cipher or signature in common with the server, in one way only: one that tries
several within a minute is a scanner. outcome and class of each session are
explained in ehlogate(8), as is the JSON of --json and --sessions.

Ctrl-C shows what was counted so far, and a log that is damaged or gone counts
up to there. Exit status 1 then, if no session was found, and if the policy
cannot be used.`,
		Example: `  ehlogate replay --since 7d
  ehlogate replay -c new.toml "/var/log/mail.log*"
  ehlogate replay --diff /etc/ehlogate/ehlogate.toml new.toml mail.log
  ehlogate replay --sessions mail.log | grep '"outcome":"incapable"'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(cmd, o, args)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.since, "since", "", "leave out sessions before `TIME`: 7d, 36h, 2026-11-21, \"2026-11-21 14:00\" or an RFC 3339 time")
	flags.StringVar(&f.old, "diff", "", "show which clients are treated differently, from config `OLD` to the config that is the first argument")
	flags.IntVar(&f.top, "top", 10, "name at most `N` clients of each kind")
	flags.BoolVar(&f.journal, "journal", false, "read the journal of this machine")
	flags.BoolVar(&f.json, "json", false, "write JSON")
	flags.BoolVar(&f.sessions, "sessions", false, "write each session as a line of JSON, and no report")
	flags.BoolVar(&f.redacted, "redact", false, "replace addresses and names, so that the output can be published")
	flags.BoolVar(&f.withDNS, "with-dns", false, "query DNS lists, and verify names, as of today")
	refuseBoth(cmd, "json", "sessions")
	refuseBoth(cmd, "diff", "sessions")
	return cmd
}

func (f *replayFlags) run(cmd *cobra.Command, o *options, args []string) error {
	since, err := parseSince(f.since, time.Now())
	if err != nil {
		return err
	}
	switch {
	case f.old != "" && len(args) == 0:
		return errors.New("--diff OLD needs the new config as the first argument")
	case f.old != "" && cmd.Flags().Changed("config"):
		return errors.New("--diff OLD has the new config as its first argument: leave out -c")
	}
	if f.top < 0 {
		return errors.New("--top: must be at least 0")
	}
	newConfig := o.config
	if f.old != "" {
		newConfig, args = args[0], args[1:]
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	r := &replayRun{replayFlags: f, since: since, stdout: cmd.OutOrStdout(), stderr: cmd.ErrOrStderr(), tally: replay.NewTally()}
	if err := r.load(ctx, newConfig); err != nil {
		if f.old != "" {
			reportError(r.stderr, err)
			err = fmt.Errorf("the first argument after --diff OLD is the new config, here %s; logs come after it", newConfig)
		}
		return exitError{exitWrong, err}
	}
	defer r.close()
	// Most of the memory is one number after the other for each client, which cost nothing to collect.
	defer debug.SetGCPercent(debug.SetGCPercent(gcPercent))
	if err := r.read(ctx, cmd.InOrStdin(), args); err != nil {
		return exitError{exitWrong, err}
	}
	if err := r.write(); err != nil {
		return exitError{exitWrong, err}
	}
	if r.faulty || r.interrupted {
		return exitError{exitWrong, nil}
	}
	return nil
}

// replayRun is a replay in progress.
type replayRun struct {
	*replayFlags
	since          time.Time
	stdout, stderr io.Writer
	policy, old    *replay.Policy // old is nil without --diff
	tally          *replay.Tally
	diff           *replay.Diff
	redact         *replay.Redactor
	out            *replay.SessionWriter
	stats          maillog.Stats
	found          int64     // sessions, also those before since
	early          int64     // those before since
	lastEarly      time.Time // of them, or of a file that ends before since
	sample         []byte    // the first line that is in no known frame
	faulty         bool      // the exit status is 1
	interrupted    bool
	broken         []error // of logs, which were read up to there
	err            error   // of writing sessions
}

func (r *replayRun) load(ctx context.Context, newConfig string) error {
	if r.redacted {
		r.redact = replay.NewRedactor()
	}
	if r.sessions {
		r.out = replay.NewSessionWriter(r.stdout, r.redact)
	}
	var err error
	if r.policy, err = r.loadPolicy(ctx, newConfig); err != nil {
		return err
	}
	if r.replayFlags.old != "" {
		r.diff = replay.NewDiff()
		r.old, err = r.loadPolicy(ctx, r.replayFlags.old)
	}
	return err
}

func (r *replayRun) loadPolicy(ctx context.Context, file string) (*replay.Policy, error) {
	cfg, err := config.Load(file)
	if err != nil {
		return nil, err
	}
	if cfg.File == "" {
		fmt.Fprintf(r.stderr, "no config file: using the built-in defaults, which suppress nothing (-c names a config)\n")
	}
	p := replay.Load(ctx, cfg, r.withDNS)
	for _, err := range p.Unavailable {
		reportError(r.stderr, err)
		r.faulty = true
	}
	return p, nil
}

func (r *replayRun) close() {
	r.policy.Close()
	if r.old != nil {
		r.old.Close()
	}
}

// read reads all logs.
func (r *replayRun) read(ctx context.Context, stdin io.Reader, args []string) error {
	reader := maillog.NewReader(maillog.Options{}, func(s *maillog.Session) { r.add(ctx, s) })
	read := func(name string, l *logfile.Log, err error, size int64, p *progress) {
		if err == nil {
			err = r.readLog(ctx, reader, name, l, size, p)
		}
		if ctx.Err() != nil {
			r.interrupted = true
		} else if err != nil {
			r.broken = append(r.broken, explainUnread(err))
		}
	}
	files, journal, err := r.choose(args)
	if err != nil {
		return err
	}
	p := newProgress(r.stderr, files)
	name := "standard input"
	switch {
	case journal:
		name = theJournal
		l, err := logfile.OpenJournal(ctx, r.since)
		if err != nil {
			return fmt.Errorf("%w: name the log, such as /var/log/mail.log", err)
		}
		read(name, l, nil, 0, p)
	case files == nil:
		l, err := logfile.NewLog(ctx, io.NopCloser(stdin))
		read(name, l, err, 0, p)
	}
	for i, file := range files {
		if i == 0 {
			name = file.Path
		}
		if r.interrupted {
			break
		}
		if file.Newest.Before(r.since) {
			r.skip(file.Newest)
			continue
		}
		reader.SetNewest(file.Newest)
		l, err := file.Open(ctx)
		read(file.Path, l, err, file.Size, p)
	}
	reader.Flush()
	if r.stats = reader.Stats(); r.err != nil {
		return r.err
	}
	if r.found == r.early && !r.interrupted {
		if len(r.broken) > 0 {
			return r.broken[0]
		}
		return r.nothingFound(name)
	}
	for _, err := range r.broken {
		r.faulty = true
		reportError(r.stderr, err)
	}
	return nil
}

// readLog reads one log, as far as that is possible.
func (r *replayRun) readLog(ctx context.Context, reader *maillog.Reader, name string, l *logfile.Log, size int64, p *progress) error {
	stop := p.follow(name, l, size)
	err := logfile.EachLine(ctx, l, func(line []byte) {
		if !reader.Read(line) && r.sample == nil {
			r.sample = append([]byte{}, line[:min(len(line), 120)]...)
		}
	})
	stop()
	if closed := l.Close(); err == nil {
		err = closed
	}
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// skip notes the time of what is not counted, since it is before --since.
func (r *replayRun) skip(at time.Time) {
	if at.After(r.lastEarly) {
		r.lastEarly = at
	}
}

// add decides about a session.
func (r *replayRun) add(ctx context.Context, s *maillog.Session) {
	r.found++
	if !s.End.IsZero() && s.End.Before(r.since) {
		r.early++
		r.skip(s.End)
		return
	}
	v := r.policy.Decide(ctx, s)
	if r.diff != nil {
		old := r.old.Decide(ctx, s)
		r.diff.Add(s, &old, &v)
	}
	if r.out == nil {
		r.tally.Add(s, &v)
	} else if r.err == nil {
		r.err = r.out.Write(s, &v)
	}
}

// write writes the report.
func (r *replayRun) write() error {
	if r.out != nil {
		if r.interrupted {
			fmt.Fprintln(r.stderr, "interrupted: only a part of the log was read")
		}
		return nil
	}
	if r.diff != nil {
		r.diff.Finish(r.top)
		r.diff.Interrupted, r.diff.Notes = r.interrupted, append(r.diff.Notes, r.notes()...)
		if r.redact != nil {
			r.redact.Diff(r.diff)
		}
		return r.print(r.diff, r.diff.Text)
	}
	report := r.tally.Report(r.stats, r.top)
	if err := r.policy.Report(report, r.top); err != nil {
		return err
	}
	report.Interrupted, report.Notes = r.interrupted, append(report.Notes, r.notes()...)
	if r.redact != nil {
		r.redact.Report(report)
	}
	return r.print(report, report.Text)
}

// notes returns what the figures leave out.
func (r *replayRun) notes() (notes []string) {
	if r.interrupted {
		notes = append(notes, "interrupted: only a part of the log was read")
	}
	if n := len(r.broken); n > 0 {
		notes = append(notes, fmt.Sprintf("%d of the logs could not be read to the end: the figures are too low", n))
	}
	if r.policy.WithoutDNS || r.old != nil && r.old.WithoutDNS {
		notes = append(notes, "DNS lists count as unavailable, and names are those of the log: --with-dns asks DNS")
	} else if r.withDNS {
		notes = append(notes, "DNS was asked now: its answers may have been others at the time of the log")
	}
	if r.policy.WithoutPressure || r.old != nil && r.old.WithoutPressure {
		notes = append(notes, "the log does not tell the CPU pressure: cpu_pressure counts as without effect")
	}
	return notes
}

func (r *replayRun) print(value any, text func() string) error {
	if r.json {
		return printable.WriteJSON(r.stdout, value)
	}
	_, err := io.WriteString(r.stdout, text())
	return err
}

// isTerminal reports whether a writer is a terminal.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && !strings.HasSuffix(f.Name(), "/null")
}
