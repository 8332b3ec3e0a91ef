package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"time"

	"github.com/spf13/cobra"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/cmd/ehlogate/internal/explain"
	"ehlogate/cmd/ehlogate/internal/running"
	"ehlogate/cmd/ehlogate/internal/state"
	"ehlogate/lists"
	"ehlogate/lists/printable"
)

// lookupTimeout is how long explain waits for DNS.
const lookupTimeout = 10 * time.Second

// editTimeout is how long an edit of a list may take until the daemon decides by it.
const editTimeout = 2 * time.Second

// needAddress is for the arguments of explain.
func needAddress(_ *cobra.Command, args []string) error {
	switch len(args) {
	case 0:
		return errors.New("missing address of the client: write ehlogate explain ADDR, as in ehlogate explain 192.0.2.7")
	case 1:
		return nil
	}
	return fmt.Errorf("unexpected argument %q: write one address", args[1])
}

func newExplain(o *options) *cobra.Command {
	var helo, name string
	var onlyDisk, asJSON bool
	cmd := &cobra.Command{
		Use:   "explain ADDR",
		Short: "Show the decision for a client, and why",
		Long: `Shows the decision for the client at ADDR, which entry of which list made it,
and the exact answer to each kind of mail server.

The running daemon decides, if it uses this config and its HTTP address answers
within two seconds. The decision is then compared with the config and the lists
on disk: an edit that the daemon refused, or has not loaded, is shown with the
reason and what to do. If no daemon answers, or with --disk, the files on disk
decide, and DNS lists are queried. The line "from" says which of the two it was.
If the daemon reads the log of the mail server ([logs]), the line "log" has what
that tells of the client.

A mail server does not pass on all that it knows: Postfix looks EHLO keywords up
by address only, unless verify_names is set. So its answer may differ from a
decision on --name or --helo.

Exit status 1 if there is no decision, if the daemon and the files on disk
decide differently, or if the files on disk cannot be used; 0 otherwise.`,
		Example: "  ehlogate explain 192.0.2.7\n  ehlogate explain 192.0.2.7 --disk\n  ehlogate explain 2001:db8::1 --helo ylmf-pc --json",
		Args:    needAddress,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := explain.ParseClient(args[0], name, helo)
			if err != nil {
				return err
			}
			e := explanation{options: o, client: c, stderr: cmd.ErrOrStderr()}
			e.config, e.configErr = o.loadConfig()
			if onlyDisk {
				e.SourceReason = "--disk"
			} else if err := e.queryDaemon(cmd.Context()); err != nil {
				e.SourceReason = err.Error()
			}
			if e.Daemon == nil {
				if err := e.decideByDisk(cmd.Context()); err != nil {
					return exitError{exitWrong, err}
				}
			}
			if e.config != nil && e.config.File == "" {
				fmt.Fprintf(e.stderr, "no config file: using the built-in defaults (%s does not exist; -c names another)\n", config.DefaultFile)
			}
			if asJSON {
				err = printable.WriteJSON(cmd.OutOrStdout(), e.Report)
			} else {
				_, err = io.WriteString(cmd.OutOrStdout(), e.Text())
			}
			if err != nil || e.faulty {
				return exitError{exitWrong, err}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&onlyDisk, "disk", false, "decide by the config and the lists on disk, and do not query the daemon")
	cmd.Flags().StringVar(&helo, "helo", "", "the `NAME` that the client sends in EHLO")
	cmd.Flags().StringVar(&name, "name", "", "the verified `HOST` name of the client")
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return cmd
}

// explanation is a report in the making.
type explanation struct {
	explain.Report
	options   *options
	client    lists.Client
	config    *config.Config // nil: it cannot be used
	configErr error          // why
	faulty    bool           // the exit status is 1
	stderr    io.Writer
}

// queryDaemon gets the report of the running daemon, and compares it with the files on disk.
func (e *explanation) queryDaemon(ctx context.Context) error {
	daemon := running.Find(e.options.config, e.config)
	path := "/api/v1/decision?" + url.Values{"addr": {e.client.Addr.String()}, "name": {e.client.Name}, "helo": {e.client.HELO}}.Encode()
	for deadline := time.Now().Add(editTimeout); ; {
		var r explain.Report
		status, _, err := daemon.Get(ctx, path, &r)
		if err != nil {
			return err
		}
		r.Differences = status.Differences(e.config, e.configErr, fullVersion())
		var disk *state.Snapshot
		if e.config != nil {
			disk = state.Load(e.config, time.Now).Snapshot()
		}
		r.CompareDisk(ctx, e.client, disk, e.configErr)
		e.Report, e.faulty = r, r.Disk.Compared == explain.Differs || r.Disk.Compared == explain.Unusable
		if r.Disk.Compared != explain.Differs || len(r.Differences) > 0 {
			return nil
		}
		if time.Now().After(deadline) {
			e.Differences = append(e.Differences, running.Difference{
				What: fmt.Sprintf("the daemon does not decide by the lists on disk, although they did not change for %v", editTimeout),
				Do:   "see its log: journalctl -u ehlogate"})
			return nil
		}
		select { // an edit takes effect within that time
		case <-time.After(editTimeout / 8):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (e *explanation) decideByDisk(ctx context.Context) error {
	if e.configErr != nil {
		reportError(e.stderr, errors.New(e.SourceReason))
		return e.configErr
	}
	manager := state.Load(e.config, time.Now)
	snapshot := manager.Snapshot()
	var without []string
	for _, err := range snapshot.Unavailable() {
		reportError(e.stderr, err)
		without, e.faulty = append(without, err.Error()), true
	}
	for _, l := range e.config.Lists {
		if l.IsLearned() {
			without = append(without, fmt.Sprintf("list %q: only the daemon has what it learned", l.Name))
		}
	}
	if err := checkStateReadable(e.config.Guard); err != nil {
		return err
	}
	defer manager.RunOnce(ctx, lookupTimeout)()
	reason := e.SourceReason
	e.Report = explain.NewReport(ctx, e.client, snapshot.Policy, snapshot.Values)
	e.Source, e.SourceReason, e.Without = explain.FromDisk, reason, without
	if e.DependsOnLimit() {
		fmt.Fprintln(e.stderr, "default = \"limit\" depends on the load, which only the daemon knows")
	}
	return nil
}

// checkStateReadable returns an error if what the daemon remembers of published policies cannot be read.
func checkStateReadable(g config.Guard) error {
	if len(g.Domains) == 0 || g.State == "" {
		return nil
	}
	f, err := os.Open(g.State)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w: without it the answer may differ from that of the daemon; run this as root", err)
	}
	return f.Close()
}
