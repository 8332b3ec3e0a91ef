package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/cmd/ehlogate/internal/explain"
	"ehlogate/cmd/ehlogate/internal/state"
	"ehlogate/lists"
)

// lookupTimeout is how long explain waits for DNS.
const lookupTimeout = 10 * time.Second

func newExplain(o *options) *cobra.Command {
	var helo, name string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "explain ADDR",
		Short: "Show the decision for a client, and why",
		Long: `Shows the decision for the client at ADDR, which entry of which list made it,
and the exact answer to each kind of mail server.

It reads the config and the lists on disk. A daemon that refused the last edit
still answers from what it had before. To see what the daemon decides, query it:

    curl 'http://127.0.0.1:10045/api/v1/decision?addr=192.0.2.7'

A mail server does not pass on all that it knows: Postfix looks EHLO keywords up
by address only, unless verify_names is set. So its answer may differ from a
decision on --name or --helo.`,
		Example: "  ehlogate explain 192.0.2.7\n  ehlogate explain 2001:db8::1 --helo ylmf-pc --json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := explain.ParseClient(args[0], name, helo)
			if err != nil {
				return err
			}
			cfg, err := o.loadConfig()
			if err != nil {
				return exitError{exitWrong, err}
			}
			manager := state.Load(cfg, time.Now)
			snapshot := manager.Snapshot()
			unavailable := snapshot.Unavailable()
			for _, err := range unavailable {
				reportError(cmd.ErrOrStderr(), err)
			}
			if err := checkStateReadable(cfg.Guard); err != nil {
				return exitError{exitWrong, err}
			}
			defer manager.RunOnce(cmd.Context(), lookupTimeout)()
			r := explain.NewReport(cmd.Context(), c, snapshot.Policy, snapshot.Keywords)
			if cfg.File == "" {
				fmt.Fprintf(cmd.ErrOrStderr(), "no config file: using the built-in defaults (%s does not exist; -c names another)\n", config.DefaultFile)
			}
			if asJSON {
				err = writeJSON(cmd.OutOrStdout(), r)
			} else {
				_, err = io.WriteString(cmd.OutOrStdout(), r.Text())
			}
			if snapshot.Limiter != nil && r.Decision.Reason == lists.ReasonLimit {
				fmt.Fprintln(cmd.ErrOrStderr(), "default = \"limit\" depends on the load, which only the daemon knows: query it, as --help shows")
			}
			switch {
			case err != nil:
				return exitError{exitWrong, err}
			case len(unavailable) > 0:
				return exitError{code: exitWrong}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&helo, "helo", "", "the `NAME` that the client sends in EHLO")
	cmd.Flags().StringVar(&name, "name", "", "the verified `HOST` name of the client")
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return cmd
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
		return fmt.Errorf("%w: without it the answer may differ from that of the daemon; run this as root, or query the daemon", err)
	}
	return f.Close()
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
