package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"ehlogate/cmd/ehlogate/internal/export"
	"ehlogate/cmd/ehlogate/internal/nft"
	"ehlogate/lists"
)

// exporting is what the flags of export say.
type exporting struct {
	format, output           string
	action, set              string
	apply, dryRun            bool
	ifChanged                bool
	then                     string
	withoutNames, withoutDNS bool
}

// tables are what --format takes.
var tables = []string{"postfix-cidr", "sendmail-access", "exim-hosts", "nft"}

func newExport(o *options) *cobra.Command {
	var e exporting
	cmd := &cobra.Command{
		Use:   "export --format FORMAT",
		Short: "Write the policy as a static table",
		Long: `Writes the whole policy (holes, order of the lists, default) as a static table
with identical decisions, for what cannot or should not ask the daemon:

    postfix-cidr     for smtpd_discard_ehlo_keyword_address_maps: the backup
                     behind a memcache map, and postscreen (cidr_table(5))
    sendmail-access  lines for the access map, by the tag Srv_Features
    exim-hosts       the host list that tls_advertise_hosts names
    nft              the clients of one --action as two sets of nftables, such as
                     inet ehlogate trusted4 and trusted6; for "offer" those that
                     a list offers STARTTLS to, not those of the default

The head of each table says how it is used. A running smtpd does not notice a
changed table: end with "postfix reload".

--if-changed is for a timer, which keeps a table in step (ehlogate-export.timer):

    ehlogate export --format postfix-cidr -o FILE --if-changed --then "postfix reload"

If COMMAND fails, the next run runs it again; until then FILE has the time
1970-01-01. --if-changed and --apply wait for a list that is being written to.

With --apply the sets are not written but brought in step, in the kernel of this
machine: elements that are missing are added, others removed, in one transaction;
what stays is not touched, and nothing is said if there is nothing to do. The
rules that have the sets must be loaded; root, or CAP_NET_ADMIN, is needed.

A table that the policy cannot be put into is refused, with what is in the way,
and what was exported before stays: a list that is not loaded, or whose pattern
matches no file; entries about host or HELO names (--without-names leaves those
out); lists by DNS and default = "limit" (--without-dns decides as the daemon does
while no list by DNS answers: if an allow list is one by DNS, every client that no
earlier list holds is offered STARTTLS, except private and multicast addresses). A
table does not learn of a promise that a domain makes later, so with [guard]
domains it suppresses by your own list files only. Entries with until=
are looked at as of now; the table says until when it is exact.`,
		Example: `  ehlogate export --format postfix-cidr -o /etc/postfix/ehlogate.cidr && postfix reload
  ehlogate export --format exim-hosts -o /etc/exim4/ehlogate.hosts
  ehlogate export --format nft --action offer --apply
  ehlogate export --format nft --action suppress --set 'inet filter bots' --apply --dry-run`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := e.usage(); err != nil {
				return err
			}
			if err := e.run(cmd.Context(), o, cmd.OutOrStdout(), cmd.ErrOrStderr()); err != nil {
				if exit := (exitError{}); errors.As(err, &exit) {
					return err
				}
				return exitError{exitWrong, err}
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&e.format, "format", "", "`FORMAT` of the table: "+strings.Join(tables, ", "))
	f.StringVarP(&e.output, "output", "o", "", "write to `FILE`, replacing it in one step, instead of standard output")
	f.BoolVar(&e.ifChanged, "if-changed", false, "leave FILE as it is, and run nothing, if it holds the table already")
	f.StringVar(&e.then, "then", "", "run `COMMAND` by sh when FILE was written, such as \"postfix reload\"")
	f.StringVar(&e.action, "action", "", "nft: the `ACTION` whose clients are meant: offer, suppress, require")
	f.StringVar(&e.set, "set", "", "nft: `\"FAMILY TABLE NAME\"` of the sets NAME4 and NAME6 (default \"inet ehlogate\" and trusted, denied or required)")
	f.BoolVar(&e.apply, "apply", false, "nft: bring the sets in step instead of writing them")
	f.BoolVar(&e.dryRun, "dry-run", false, "nft: only write what --apply would do")
	f.BoolVar(&e.withoutNames, "without-names", false, "leave out entries about host and HELO names")
	f.BoolVar(&e.withoutDNS, "without-dns", false, "decide as the daemon does while no list by DNS answers")
	cmd.MarkFlagsMutuallyExclusive("output", "apply")
	return cmd
}

// setNames are those of the sets if none are named, by action.
var setNames = map[lists.Action]string{lists.Offer: "trusted", lists.Suppress: "denied", lists.Require: "required"}

// usage refuses flags that make no sense together.
func (e *exporting) usage() error {
	isNFT := e.format == "nft"
	switch {
	case !slices.Contains(tables, e.format):
		return fmt.Errorf("--format %q is not known: write one of %s", e.format, strings.Join(tables, ", "))
	case !isNFT && (e.action != "" || e.set != "" || e.apply || e.dryRun):
		return fmt.Errorf("--action, --set, --apply and --dry-run are about sets: they need --format nft")
	case isNFT && e.action == "":
		return errors.New("--format nft needs --action: write --action offer for the clients that a list offers STARTTLS to, or suppress, or require")
	case (e.ifChanged || e.then != "") && e.output == "":
		return errors.New("--if-changed and --then are about a file: name it with -o")
	case e.dryRun && !e.apply:
		return errors.New("--dry-run needs --apply: without it nothing is changed anyway")
	}
	return nil
}

func (e *exporting) run(ctx context.Context, o *options, stdout, stderr io.Writer) error {
	action, set, err := e.sets()
	if err != nil {
		return exitError{exitUsage, err}
	}
	p, err := e.load(ctx, o, stderr)
	if err != nil {
		return err
	}
	if p == nil {
		return errors.New("nothing is exported, since a list could not be loaded; " + e.stays(set))
	}
	if e.apply {
		return e.bring(ctx, p, action, set, stdout)
	}
	var table bytes.Buffer
	switch e.format {
	case "postfix-cidr":
		err = p.PostfixCIDR(ctx, &table)
	case "sendmail-access":
		err = p.SendmailAccess(ctx, &table)
	case "exim-hosts":
		err = p.EximHosts(ctx, &table)
	case "nft":
		err = p.NFT(ctx, &table, action, set)
	}
	if err != nil {
		return err
	}
	if e.output != "" {
		return e.replace(ctx, table.Bytes(), stdout, stderr)
	}
	_, err = table.WriteTo(stdout)
	return err
}

// sets are those that are meant, if it is about sets.
func (e *exporting) sets() (action lists.Action, set nft.Set, err error) {
	if e.format != "nft" {
		return action, set, nil
	}
	if err := action.UnmarshalText([]byte(e.action)); err != nil {
		return action, set, fmt.Errorf("--action: %w", err)
	}
	if e.set == "" {
		return action, nft.Set{Family: "inet", Table: "ehlogate", Name: setNames[action]}, nil
	}
	set, err = nft.ParseSet(e.set)
	if err != nil {
		return action, set, fmt.Errorf("--set: %w", err)
	}
	return action, set, nil
}

// stays says what a failed export leaves.
func (e *exporting) stays(set nft.Set) string {
	if e.apply {
		return fmt.Sprintf("the sets %s4 and %s6 stay as they are", set, set.Name)
	}
	return "what was exported before stays as it is"
}

// bring brings the sets in step.
func (e *exporting) bring(ctx context.Context, p *export.Policy, action lists.Action, set nft.Set, stdout io.Writer) error {
	want, err := p.Set(ctx, action)
	if err != nil {
		return err
	}
	change, err := set.Difference(ctx, want)
	if err != nil {
		return err
	}
	if e.dryRun {
		_, err = io.WriteString(stdout, change.Script)
		return err
	}
	if err := change.Apply(ctx); err != nil {
		return err
	}
	if change.Script != "" {
		_, err = fmt.Fprintf(stdout, "%s: %d added, %d removed, %d now\n", set, change.Added, change.Removed, len(want))
	}
	return err
}
