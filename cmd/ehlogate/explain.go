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
	"ehlogate/lists"
)

// patience is how long explain waits for answers by DNS.
const patience = 10 * time.Second

func newExplain(o *options) *cobra.Command {
	var helo, name string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "explain ADDR",
		Short: "Say what is decided for a client, and why",
		Long: `Says what is decided for the client at ADDR, which entry of which list decides,
and the exact answer that each kind of mail server gets.

It reads config and lists as they are on disk now. A daemon that refused the
last edit answers from what it had before; ask that one for its own view:

    curl 'http://127.0.0.1:10045/api/v1/decision?addr=192.0.2.7'

A mail server does not tell all it knows: Postfix asks its EHLO map by address
only, unless verify_names is set. So an answer may differ from a decision on
--name or --helo.`,
		Example: "  ehlogate explain 192.0.2.7\n  ehlogate explain 2001:db8::1 --helo ylmf-pc --json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := explain.ParseClient(args[0], name, helo)
			if err != nil {
				return err
			}
			eng, broken, err := o.snapshot(cmd.ErrOrStderr(), time.Now)
			if err != nil {
				return err
			}
			live := eng.Snapshot()
			if err := mayRemember(live.Config.Guard); err != nil {
				return exitError{exitWrong, err}
			}
			defer eng.RunOnce(cmd.Context(), patience)()
			r := explain.NewReport(cmd.Context(), c, live.Policy, live.Keywords)
			if live.Config.File == "" {
				fmt.Fprintf(cmd.ErrOrStderr(), "no config file: these are the built-in defaults (%s does not exist; -c names another)\n", config.DefaultFile)
			}
			if asJSON {
				err = writeJSON(cmd.OutOrStdout(), r)
			} else {
				_, err = io.WriteString(cmd.OutOrStdout(), r.Text())
			}
			if live.Limiter() != nil && r.Decision.Reason == lists.ReasonLimit {
				fmt.Fprintln(cmd.ErrOrStderr(), "default = \"limit\" depends on the load, which only the daemon knows: ask it, as --help shows")
			}
			if err == nil && broken {
				return exitError{code: exitWrong}
			}
			return err
		},
	}
	cmd.Flags().StringVar(&helo, "helo", "", "the `NAME` that the client says in EHLO")
	cmd.Flags().StringVar(&name, "name", "", "the verified `HOST` name of the client")
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return cmd
}

// mayRemember says that what the daemon remembers of promises may be read here.
func mayRemember(g config.Guard) error {
	if len(g.Domains) == 0 || g.State == "" {
		return nil
	}
	f, err := os.Open(g.State)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		return fmt.Errorf("%w: without it the answer may be another than that of the daemon; ask as root, or ask the daemon", err)
	}
	return f.Close()
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return exitError{exitWrong, err}
	}
	return nil
}
