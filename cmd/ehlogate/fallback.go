package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"

	"github.com/spf13/cobra"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/cmd/ehlogate/internal/export"
	"ehlogate/cmd/ehlogate/internal/httpapi"
	"ehlogate/cmd/ehlogate/internal/running"
	"ehlogate/lists"
	"ehlogate/lists/fallback"
	"ehlogate/lists/printable"
)

func newFallback(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "fallback",
		Short: "Show and change what was learned of broken TLS",
		Long: `A list with learn = "fallback" has clients whose TLS failed again and again, and
which never did TLS before. The running daemon learns them from the logs of the
mail server, and ends each entry by itself. These commands show what it learned,
through its HTTP address, and change it, through list files that the daemon
follows. No command is sent to the daemon.

    ehlogate fallback list              what is learned, and what would help
    ehlogate fallback show 192.0.2.7    why a client is learned, or is not
    ehlogate fallback promote ADDR      write it into a list of your own
    ehlogate fallback forget ADDR       end its entry; it may be learned again
    ehlogate fallback forbid ADDR       end its entry, and never learn it
    ehlogate fallback export            the entries, as a list file

forget and forbid need a file for clients that are not learned, [learn] never.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newFallbackList(o), newFallbackShow(o), newFallbackPromote(o), newFallbackForget(o), newFallbackForbid(o), newFallbackExport(o))
	return cmd
}

func newFallbackList(o *options) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Show what is learned, and what would help instead",
		Long: `Shows the clients that are learned, with their evidence and when each entry
ends; whether the list is enforced; the limits; and what would help instead.
Clients on the way to an entry are below.`,
		Example: "  ehlogate fallback list\n  ehlogate fallback list --json",
		Args:    refuseArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := o.getLearned(cmd.Context())
			if err != nil {
				return exitError{exitWrong, err}
			}
			return printLearned(cmd.OutOrStdout(), asJSON, r, func() string { return fallbackText(r) })
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return cmd
}

func newFallbackShow(o *options) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show ADDR",
		Short: "Show why a client is learned, or is not",
		Long: `Shows what is known of the client at ADDR: its entry, the failures that count as
evidence, what makes it immune, and what is missing for an entry.`,
		Example: "  ehlogate fallback show 192.0.2.7",
		Args:    needClient,
		RunE: func(cmd *cobra.Command, args []string) error {
			addr, err := lists.ParseAddr(args[0])
			if err != nil {
				return err
			}
			r, err := o.getLearnedClient(cmd.Context(), addr)
			if err != nil {
				return exitError{exitWrong, err}
			}
			return printLearned(cmd.OutOrStdout(), asJSON, r, func() string { return fallbackClientText(r) })
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return cmd
}

func newFallbackExport(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "export",
		Short: "Write the entries as a list file",
		Long: `Writes the entries that are in force to standard output, as a list file with the
time at which each ends: for a server that has no daemon, or to keep.`,
		Example: "  ehlogate fallback export >/etc/ehlogate/lists/learned.list",
		Args:    refuseArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := o.getLearned(cmd.Context())
			if err != nil {
				return exitError{exitWrong, err}
			}
			_, err = io.WriteString(cmd.OutOrStdout(), fallbackListFile(r.Fallback))
			return err
		},
	}
}

// addLearned asks the daemon for the clients that its fallback list for an action has, if there is one that counts.
func (o *options) addLearned(ctx context.Context, p *export.Policy, action lists.Action) error {
	if p.Config.FindLearned(config.LearnFallback, action) == "" {
		return nil
	}
	r, err := o.getLearned(ctx)
	if err != nil {
		return err
	}
	var clients []netip.Addr
	for _, e := range r.Fallback.Entries {
		if r.Status.Enforces && e.State == "live" && e.Action == action.String() {
			clients = append(clients, e.Client)
		}
	}
	p.SetLearned(action, clients)
	return nil
}

// needClient is for the arguments of commands about one client.
func needClient(cmd *cobra.Command, args []string) error {
	switch len(args) {
	case 0:
		return fmt.Errorf("missing address of the client: write %s 192.0.2.7", cmd.CommandPath())
	case 1:
		return nil
	}
	return fmt.Errorf("unexpected argument %q: write one address", args[1])
}

// errNoFallback is returned if the config has no list of this kind.
var errNoFallback = errors.New(`the config has no list with learn = "fallback": lists/LEARNING.md says how to begin`)

func (o *options) getLearned(ctx context.Context) (*httpapi.Learned, error) {
	var r httpapi.Learned
	if err := o.getFromDaemon(ctx, "/api/v1/learned", &r); err != nil {
		return nil, err
	}
	if r.Fallback == nil {
		return nil, errNoFallback
	}
	return &r, nil
}

func (o *options) getLearnedClient(ctx context.Context, addr netip.Addr) (*httpapi.LearnedClient, error) {
	var r httpapi.LearnedClient
	if err := o.getFromDaemon(ctx, "/api/v1/learned/"+addr.String(), &r); err != nil {
		return nil, err
	}
	if r.Fallback == nil {
		return nil, errNoFallback
	}
	return &r, nil
}

// getFromDaemon fetches a path from the daemon of the config.
func (o *options) getFromDaemon(ctx context.Context, path string, reply any) error {
	cfg, err := o.loadConfig()
	if err == nil && cfg.FindLearned(config.LearnFallback, lists.NoAction) == "" {
		return errNoFallback
	}
	if err != nil {
		cfg = nil // the daemon may run with what the config was before
	}
	if _, _, got := running.Find(o.config, cfg).Get(ctx, path, reply); got != nil {
		return errors.Join(got, err)
	}
	return nil
}

func printLearned(w io.Writer, asJSON bool, value any, text func() string) error {
	if asJSON {
		return printable.WriteJSON(w, value)
	}
	_, err := io.WriteString(w, text())
	return err
}

// evidenceOf returns the report of a client as one line, for the note of a list entry.
func evidenceOf(r *fallback.ClientReport) string {
	proofs := r.Evidence
	if r.Entry != nil {
		proofs = r.Entry.Evidence
	}
	if len(proofs) == 0 {
		return "no failure is known"
	}
	last := proofs[len(proofs)-1]
	text := fmt.Sprintf("%s x%d, last %s", last.Class, len(proofs), last.Time.UTC().Format("2006-01-02"))
	if r.Name != "" {
		text += ", " + printable.Escape(r.Name)
	}
	return text
}
