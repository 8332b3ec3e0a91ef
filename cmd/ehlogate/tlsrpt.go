package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"ehlogate/cmd/ehlogate/internal/tlsreport"
	"ehlogate/lists/tlsrpt"
)

type tlsrptFlags struct {
	logs                        []string
	record, mail, json, withDNS bool
}

func newTLSRPT(o *options) *cobra.Command {
	var f tlsrptFlags
	cmd := &cobra.Command{
		Use:   "tlsrpt [FILE...]",
		Short: "Read TLS reports of other mail servers: did a list keep their mail?",
		Long: `Reads TLS reports (RFC 8460), which large senders mail once a day to the address
in the TXT record _smtp._tls of a domain:

    _smtp._tls.example.org. TXT "v=TLSRPTv1; rua=mailto:tlsrpt@example.org"

A sender that relies on a promise of STARTTLS (MTA-STS, DANE), and does not see
it, keeps the mail and reports "starttls-not-supported" with the address of its
client. Each such address is decided by the policy at the time of the report:
"your line deny.list:14 kept 200 sessions of example.org's mail" says which
entry to remove.

FILE is a message, a Maildir, a mailbox (mbox), a directory of files, or the
report itself (.json, .json.gz); - or none is standard input.

Anyone can mail a report. It is believed only if a DKIM signature is valid, of
the domain in From and in TLS-Report-Submitter, by a key that is for reports
(s=tlsrpt) or for all services. A bare report has no signature. Others are shown
and marked, and change neither the exit status nor the record. The key is looked
up in DNS; no other network is used.

With --log, the sessions of these clients in the mail log are shown, too, and
decided with the names that the mail server verified.

--record notes what believed reports of the last week tell in the file of
[tlsrpt] state, as the user ehlogate, or as root. The daemon follows it: for a
week /healthz is "degraded", and ehlogate_tlsrpt_sessions counts the sessions.
A report that is read again counts once.

--mail is for an alias, which passes one message on standard input. It prints
nothing, and its exit status never makes a mail server return a report: 0, or 75
(try again) for at most four hours if DNS or the record failed. The command must
run as the user ehlogate:

    Postfix    a file of aliases that belongs to ehlogate, with the line
               tlsrpt  "|/usr/bin/ehlogate tlsrpt --mail --record"
    Exim       a pipe transport with user = ehlogate and this command
    Sendmail,  have reports kept in a Maildir or mailbox, and run as root, by a
    Sieve      timer: ehlogate tlsrpt --record DIR

/usr/share/doc/ehlogate/examples/tlsrpt has the first two to copy.

Exit status 1 if a believed report is about a client that is suppressed, and if
a report or a list cannot be read; 0 otherwise.`,
		Example: `  ehlogate tlsrpt report.eml
  ehlogate tlsrpt ~/Maildir/.tlsrpt --log "/var/log/mail.log*"
  ehlogate tlsrpt --json report.json.gz`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(cmd, o, args)
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&f.logs, "log", nil, "show what the mail log `FILE`, or a pattern, has of the clients; can be repeated")
	flags.BoolVar(&f.record, "record", false, "note what is found for the daemon, in [tlsrpt] state")
	flags.BoolVar(&f.mail, "mail", false, "for an alias: print nothing, and let no report be returned")
	flags.BoolVar(&f.json, "json", false, "write JSON")
	flags.BoolVar(&f.withDNS, "with-dns", false, "query DNS lists, and verify names, as of today")
	refuseBoth(cmd, "json", "mail")
	refuseBoth(cmd, "log", "mail")
	return cmd
}

func (f *tlsrptFlags) run(cmd *cobra.Command, o *options, args []string) error {
	switch in, isFile := cmd.InOrStdin().(*os.File); {
	case f.mail && !slices.Equal(args, []string{"-"}) && len(args) > 0:
		return errors.New("--mail reads one message from standard input: name no file")
	case len(args) == 0 && isFile && isTerminal(in):
		return errors.New("missing report: name a file, a Maildir, or - for standard input")
	case len(args) == 0:
		args = []string{"-"}
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	r := &tlsrptRun{tlsrptFlags: f, stdout: cmd.OutOrStdout(), stderr: cmd.ErrOrStderr(), report: tlsreport.New(), now: time.Now()}
	err := r.examine(ctx, o, cmd.InOrStdin(), args)
	if f.mail {
		return r.finishMail(err)
	}
	if err != nil {
		return exitError{exitWrong, err}
	}
	for _, err := range r.broken {
		reportError(r.stderr, err)
	}
	if len(r.report.Reports) == 0 && len(r.broken) == 0 {
		name := args[0]
		if name == "-" {
			name = standardInput
		}
		return exitError{exitWrong, fmt.Errorf("%s: %w", name, tlsrpt.ErrNoReport)}
	}
	if err := r.write(); err != nil {
		return exitError{exitWrong, err}
	}
	if len(r.broken) > 0 || len(r.report.Harmed()) > 0 {
		return exitError{exitWrong, nil}
	}
	return nil
}
