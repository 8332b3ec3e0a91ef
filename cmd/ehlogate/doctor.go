package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"ehlogate/cmd/ehlogate/internal/doctor"
)

// postconfLimit is how long all calls of postconf may take together.
const postconfLimit = 20 * time.Second

func newDoctor(o *options) *cobra.Command {
	var postfix, saved, exim, sendmail string
	var noConnect, asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Look over the mail server's configuration",
		Long: `Reads the configuration of the mail server and reports what would hurt: what
refuses mail while ehlogate is away, what sends passwords in the clear, what is
never asked. Nothing is changed.

Without --exim and --sendmail the running Postfix is looked over, by postconf,
and the addresses that it asks ehlogate at are connected to. The running daemon
is asked about some addresses of the lists, as a mail server would ask, and its
answers are compared with the config and the lists on disk. The daemon counts and
logs these questions like any other.

Another machine is looked over by copies: make them with

    for o in n P M; do postconf -$o >DIR/postconf-$o; done
    systemctl show ehlogate >DIR/systemctl-show
    systemctl cat ehlogate-export.service >DIR/systemctl-cat

and put the files that the settings name (tables, the .cf of a memcache map),
the files of lists and /etc/resolv.conf into the same directory. With --saved no
address is connected to, and no resolver asked.

The config of ehlogate (-c) tells where it listens, what it hides, and what it
asks in turn. If that is lists by DNS, names or [guard], it is looked over too:
whether answers come before the mail server has enough, whether the entries by
name ever count, whether [guard] has all domains that are served, whether systemd
lets the service out. Within five seconds each resolver is asked whether it is
there, and each zone what every list has to say: 127.0.0.2 is on it, 127.0.0.1
is not.

Exit code 1 if there is a hazard, 0 otherwise.`,
		Example: `  ehlogate doctor
  ehlogate doctor --saved copies-of-mx1 -c mx1.toml
  ehlogate doctor --exim /etc/exim4/exim4.conf`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := o.load()
			if err != nil {
				return exitError{exitWrong, err}
			}
			host := doctor.ThisHost(!noConnect)
			if saved != "" {
				host = doctor.SavedHost(saved)
			}
			var pf *doctor.Postfix
			if exim == "" && sendmail == "" || postfix != "" || saved != "" {
				if pf, err = readPostfix(cmd.Context(), postfix, saved); err != nil {
					return exitError{exitWrong, err}
				}
			}
			x, err := readText(exim, doctor.ParseExim)
			if err != nil {
				return exitError{exitWrong, err}
			}
			s, err := readText(sendmail, doctor.ParseSendmail)
			if err != nil {
				return exitError{exitWrong, err}
			}
			report := doctor.Examine(cmd.Context(), host, doctor.DaemonFrom(cfg), pf, x, s)
			return show(cmd.OutOrStdout(), report, asJSON)
		},
	}
	f := cmd.Flags()
	f.StringVar(&postfix, "postfix-config", "", "the Postfix whose main.cf is in `DIR`, instead of the system's")
	f.StringVar(&saved, "saved", "", "a Postfix of which `DIR` has copies")
	f.StringVar(&exim, "exim", "", "the Exim with the configuration `FILE`")
	f.StringVar(&sendmail, "sendmail", "", "the Sendmail with the configuration `FILE` (.mc or .cf)")
	f.BoolVar(&noConnect, "no-connect", false, "do not connect to the addresses that ehlogate is asked at, and ask no resolver")
	f.BoolVar(&asJSON, "json", false, "write JSON")
	cmd.MarkFlagsMutuallyExclusive("postfix-config", "saved")
	return cmd
}

// show writes the report; a hazard in it is an error.
func show(out io.Writer, report *doctor.Report, asJSON bool) error {
	var err error
	if asJSON {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		err = enc.Encode(report)
	} else {
		err = report.Show(out)
	}
	if err != nil {
		return exitError{exitWrong, err}
	}
	if report.Count(doctor.Hazard) > 0 {
		return exitError{code: exitWrong}
	}
	return nil
}

func readPostfix(ctx context.Context, dir, saved string) (*doctor.Postfix, error) {
	if saved != "" {
		return doctor.SavedPostfix(saved)
	}
	ctx, cancel := context.WithTimeout(ctx, postconfLimit)
	defer cancel()
	return doctor.LivePostfix(ctx, dir)
}

// readText reads a configuration file, if one is named.
func readText[T any](name string, parse func(name, text string) *T) (*T, error) {
	if name == "" {
		return nil, nil
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	if len(data) == 0 {
		return nil, errors.New(name + " is empty")
	}
	return parse(name, string(data)), nil
}
