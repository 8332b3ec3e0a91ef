package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"ehlogate/cmd/ehlogate/internal/doctor"
	"ehlogate/cmd/ehlogate/internal/running"
	"ehlogate/lists/printable"
)

// settingsTimeout is the most that reading the settings of the mail server may take.
const settingsTimeout = 30 * time.Second

func newDoctor(o *options) *cobra.Command {
	var postfix, saved, exim, sendmail string
	var noConnect, asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check the configuration of the mail server",
		Long: `Reads the configuration of the mail server and reports what would do harm: what
refuses mail while ehlogate is down, what sends passwords in the clear, what
never takes effect. It changes nothing.

Without --exim and --sendmail it examines the running Postfix. The mail
server's own programs say what the settings are (postconf, exim -bP), so
macros, included files and defaults count. What a table
of Postfix has for clients of the lists is asked of postmap. Sendmail has no
such program: doctor reads its file. Run as root, doctor also tries whether the
user of the service can read the lists.

doctor connects to the addresses at which the mail server queries ehlogate. It
also queries the running daemon for some addresses of the lists, and compares
the answers with the config and the lists on disk. The daemon counts and logs
these queries like any other.

doctor judges by the config and the lists on disk. It asks the running daemon
over HTTP whether it uses the same, and reports where it does not: an edit that
the daemon refused, or has not loaded. The last line says so.

To examine another machine, copy its configuration into a directory (--saved):

    postconf -n >DIR/main.cf && postconf -d mail_version >>DIR/main.cf
    postconf -M >DIR/master.cf
    systemctl show ehlogate >DIR/systemctl-show
    systemctl cat ehlogate-export.service >DIR/systemctl-cat

Copy the files that the settings name (tables, the .cf file of a memcache map),
the list files and /etc/resolv.conf into the same directory. The postconf of
this machine reads the copies; with another version, its defaults are assumed.

If the config (-c) has DNS lists, verify_names or [guard], these are examined
too: for up to five seconds each resolver and each DNS zone is queried.

Exit status 1 if there is a hazard, 0 otherwise.`,
		Example: `  ehlogate doctor
  ehlogate doctor --saved copies-of-mx1 -c mx1.toml
  ehlogate doctor --exim /etc/exim4/exim4.conf`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := o.loadConfig()
			if err != nil {
				if !noConnect && saved == "" {
					reportDaemon(cmd.Context(), cmd.ErrOrStderr(), o.config)
				}
				return exitError{exitWrong, err}
			}
			host := doctor.ThisHost(!noConnect)
			host.Version = fullVersion()
			if saved != "" {
				host = doctor.SavedHost(saved)
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), settingsTimeout)
			defer cancel()
			var postfixConfig *doctor.Postfix
			switch {
			case saved != "":
				postfixConfig, err = doctor.SavedPostfix(ctx, saved)
			case exim == "" && sendmail == "" || postfix != "":
				postfixConfig, err = doctor.LivePostfix(ctx, postfix)
			}
			var eximConfig *doctor.Exim
			if err == nil && exim != "" {
				eximConfig, err = doctor.ReadExim(ctx, exim)
			}
			var sendmailConfig *doctor.Sendmail
			if err == nil && sendmail != "" {
				sendmailConfig, err = doctor.ReadSendmail(sendmail)
			}
			if err != nil {
				return exitError{exitWrong, err}
			}
			report := doctor.Examine(cmd.Context(), host, cfg, postfixConfig, eximConfig, sendmailConfig)
			return writeReport(cmd.OutOrStdout(), report, asJSON)
		},
	}
	f := cmd.Flags()
	f.StringVar(&postfix, "postfix-config", "", "examine the Postfix whose main.cf is in `DIR`, instead of the system's")
	f.StringVar(&saved, "saved", "", "examine the copies in `DIR`; connect to no address")
	f.StringVar(&exim, "exim", "", "examine Exim with the configuration `FILE`")
	f.StringVar(&sendmail, "sendmail", "", "examine Sendmail with the configuration `FILE` (.mc or .cf)")
	f.BoolVar(&noConnect, "no-connect", false, "do not connect to the addresses at which ehlogate is queried, and query no resolver")
	f.BoolVar(&asJSON, "json", false, "write JSON")
	cmd.MarkFlagsMutuallyExclusive("postfix-config", "saved")
	return cmd
}

// writeReport writes the report. It returns an error if there is a hazard in it.
func writeReport(out io.Writer, report *doctor.Report, asJSON bool) error {
	write := report.WriteText
	if asJSON {
		write = func(out io.Writer) error { return printable.WriteJSON(out, report) }
	}
	if err := write(out); err != nil {
		return exitError{exitWrong, err}
	}
	if report.Count(doctor.Hazard) > 0 {
		return exitError{code: exitWrong}
	}
	return nil
}

// reportDaemon says what the running daemon does while the config on disk cannot be used, and so nothing can be examined.
func reportDaemon(ctx context.Context, stderr io.Writer, name string) {
	status, _, err := running.Find(name, nil).Get(ctx, "/api/v1/status", new(struct{}))
	if err == nil {
		err = fmt.Errorf("the running daemon keeps the config that it loaded before (%s); the one on disk cannot be examined", status)
	}
	reportError(stderr, err)
}
