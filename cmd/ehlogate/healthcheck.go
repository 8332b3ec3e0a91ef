package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"ehlogate/cmd/ehlogate/internal/running"
	"ehlogate/lists/printable"
)

// verdict is what healthcheck finds: the word that it prints, and its exit code.
type verdict struct {
	word, nagiosWord string
	code, nagiosCode int
}

// The codes of Nagios are those of its plugins: OK, WARNING, CRITICAL and UNKNOWN.
var (
	isWell        = verdict{"ok", "OK", 0, 0}
	isDegraded    = verdict{"degraded", "WARNING", 0, 1}
	isUnavailable = verdict{"unavailable", "CRITICAL", exitWrong, 2}
	isUnknown     = verdict{"unknown", "UNKNOWN", exitWrong, 3}
)

func newHealthcheck(o *options) *cobra.Command {
	var nagios bool
	cmd := &cobra.Command{
		Use:   "healthcheck",
		Short: "Ask the running daemon whether all is well",
		Long: `Asks the running daemon whether all is well, and prints one line:

    ok            all is well
    degraded      the daemon answers as before, but an edit was refused, a log
                  cannot be read, or the like: the line says what
    unavailable   a list is unavailable, an address is not served, or no daemon
                  answers

The daemon is asked over HTTP, at the http addresses in [listen] of the config.
This is /healthz, which has all of the reasons. Without an http address, a
memcache address is asked: that the daemon answers there says nothing about its
lists. The command takes as long as [dns] wait and two seconds at most.

Exit status 0 for ok and degraded, else 1: for HEALTHCHECK in a container, where
a restart would not help a degraded daemon.

With --nagios, the words and the exit status are those of Nagios plugins: OK 0,
WARNING 1 (degraded), CRITICAL 2 (unavailable), UNKNOWN 3.`,
		Example: "  ehlogate healthcheck\n  ehlogate healthcheck --nagios",
		Args:    refuseArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v, text := o.askHealth(cmd.Context())
			word, code := v.word, v.code
			if nagios {
				// What follows | is numbers to Nagios.
				word, code, text = v.nagiosWord, v.nagiosCode, strings.ReplaceAll(text, "|", "/")
			}
			if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", word, printable.Escape(text)); err != nil {
				return exitError{exitWrong, err}
			}
			if code != 0 {
				return exitError{code, nil}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&nagios, "nagios", false, "print the words, and exit with the status, of a Nagios plugin")
	return cmd
}

// askHealth asks the daemon of the config, and describes the state in a line.
func (o *options) askHealth(ctx context.Context) (verdict, string) {
	cfg, configErr := o.loadConfig()
	var memcache []string
	if cfg != nil {
		memcache = cfg.Listen.Addresses["memcache"]
	}
	h, err := running.Find(o.config, cfg).Health(ctx, memcache)
	switch {
	case errors.Is(err, running.ErrNoHealth):
		return isUnknown, err.Error()
	case err != nil:
		return isUnavailable, err.Error()
	case h.Daemon == nil:
		return isWell, "the daemon answers memcache at " + h.Addr + `; [listen] has no http address, so the state of its lists is not known`
	}
	if configErr != nil {
		first, _, _ := strings.Cut(configErr.Error(), "\n")
		h.Reasons = append(h.Reasons, "the config on disk cannot be used, and the daemon would not start with it: "+first)
	}
	v := isWell
	switch {
	case h.Word != "ok" && h.Word != "degraded":
		v = isUnavailable
	case len(h.Reasons) > 0:
		v = isDegraded
	}
	switch n := len(h.Reasons); n {
	case 0:
		return v, fmt.Sprintf("the daemon answers at %s (pid %d, version %s)", h.Addr, h.Daemon.PID, h.Daemon.Version)
	case 1:
		return v, h.Reasons[0]
	default:
		return v, fmt.Sprintf("%s (and %d more: see /healthz)", h.Reasons[0], n-1)
	}
}
