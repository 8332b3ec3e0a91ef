package main

import (
	"cmp"
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

type exportFlags struct {
	format, output, action, set, then, service, keyword string
	networks                                            string
	apply, dryRun, ifChanged, withoutNames, withoutDNS  bool
	withoutNetworks                                     bool
}

func newExport(o *options) *cobra.Command {
	var e exportFlags
	cmd := &cobra.Command{
		Use:   "export --format FORMAT",
		Short: "Write the policy as a static table",
		Long: `Writes the whole policy (exceptions, order of the lists, default) as a static
table that decides as the daemon does, for programs that cannot or should not
query the daemon:

    postfix-cidr     for smtpd_discard_ehlo_keyword_address_maps: in place of a
                     map that queries ehlogate, the backup behind one, and
                     postscreen (cidr_table(5), in blocks)
    postfix-cidr-flat
                     the same without blocks, for Postfix before 3.2, and
                     for smtpd -v before 3.12
    postfix-addresses
                     the source of a cdb or lmdb table, of which smtpd
                     notices a change by itself. It has addresses alone
    postfix-networks the cidr table to name behind one that was exported by
                     postfix-addresses --without-networks; with --networks,
                     one export writes both
    sendmail-access  lines for the access map, by the tag Srv_Features
    exim-hosts       the host list that tls_advertise_hosts names, or with
                     --keyword dsn that of dsn_advertise_hosts
    nft              the clients of one --action as two sets of nftables, such
                     as inet ehlogate trusted4 and trusted6. For "offer" these
                     are the clients on lists that offer STARTTLS; the default
                     adds no client. "legacy" is for rules that redirect these
                     clients to a service with old TLS (examples/legacy-tls)

The head of each table says how to use it. A running smtpd does not notice a
changed cidr table: run "postfix reload" afterwards.

Units keep a table up to date with --if-changed (ehlogate-export.path and
ehlogate-export.timer; examples/postfix-static):

    ehlogate export --format postfix-cidr -o FILE --if-changed \
        --then "postfix reload"

If COMMAND fails, or does not end within two minutes, export fails, and the next
run repeats COMMAND; until then FILE has the time 1970-01-01. FILE is the old
table or the new one as a whole, whatever happens. --if-changed and --apply wait
while a list is being written to, and export again if it was edited meanwhile.

--apply replaces the elements of the sets in the kernel of this machine, in one
transaction, which resets comments and counters of elements. If the sets have
the right elements already, nothing is changed and nothing is printed. It asks
the daemon for the clients of a list with learn = "fallback", which no table
has; if the daemon does not tell them, the sets stay as they are. --dry-run
only prints how many elements would be added and removed, and the first of them.
The rules that have the sets must be loaded. Both need root or CAP_NET_ADMIN.

If a table cannot express the policy, export fails, says why, and leaves the
table that was exported before as it is. That is so for

  - a list that is unavailable, or has a pattern that matches no file;
  - entries about host or HELO names, unless --without-names leaves them out;
  - keywords in hide = [...] of a list that the mail server cannot hide from
    some clients only (Sendmail can hide auth, dsn, etrn and pipelining);
  - networks of more than 256 addresses in postfix-addresses, unless
    --networks or --without-networks leaves them to postfix-networks;
  - DNS lists and default = "limit", unless --without-dns decides as the daemon
    does while no DNS list answers. If an allow list is a DNS list, every client
    that no earlier list matches is then offered STARTTLS, except private and
    multicast addresses.

A table does not see MTA-STS or DANE that a domain publishes later, so with
[guard] domains it suppresses by your own list files only. It takes entries with
until= as they are now, and says until when it is exact.`,
		Example: `  ehlogate export --format postfix-cidr -o /etc/postfix/ehlogate.cidr && postfix reload
  ehlogate export --format postfix-cidr --service submission -o /etc/postfix/ehlogate-submission.cidr
  ehlogate export --format postfix-addresses -o /etc/postfix/ehlogate \
      --networks /etc/postfix/ehlogate.cidr \
      --then "postmap cdb:/etc/postfix/ehlogate"
  ehlogate export --format exim-hosts -o /etc/exim4/ehlogate.hosts
  ehlogate export --format nft --action offer --apply
  ehlogate export --format nft --action suppress --set 'inet filter bots' --apply --dry-run
  ehlogate export --format nft --action legacy -o legacy.nft`,
		Args: refuseArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := e.validate(); err != nil {
				return err
			}
			action, set, err := e.parseSet()
			about, wrong := e.parseSubject()
			if err := cmp.Or(err, wrong); err != nil {
				return exitError{exitUsage, err}
			}
			err = repeat(func() error {
				return e.export(cmd.Context(), o, about, action, set, cmd.OutOrStdout(), cmd.ErrOrStderr())
			})
			if err != nil {
				return exitError{exitWrong, err}
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&e.format, "format", "", "`FORMAT` of the table: "+strings.Join(export.Formats(), ", "))
	f.StringVarP(&e.output, "output", "o", "", "write to `FILE`, which is replaced atomically, instead of standard output")
	f.StringVar(&e.networks, "networks", "", "postfix-addresses: write the networks to `FILE`, the cidr table to name behind")
	f.BoolVar(&e.ifChanged, "if-changed", false, "do nothing if FILE has the table already")
	f.StringVar(&e.then, "then", "", "run `COMMAND` by sh after FILE was written, such as \"postfix reload\"")
	f.StringVar(&e.action, "action", "", "nft: export the clients of this `ACTION`: offer, suppress, require, legacy")
	f.StringVar(&e.service, "service", "", "postfix-...: a table for the clients of this `SERVICE`: smtp (the default), submission")
	f.StringVar(&e.keyword, "keyword", "", "exim-hosts: a list for this EHLO `KEYWORD` instead of starttls: "+export.EximKeywords.String())
	f.StringVar(&e.set, "set", "", "nft: `\"FAMILY TABLE NAME\"` of the sets NAME4 and NAME6 (default \"inet ehlogate\" and trusted, denied, required or legacy)")
	f.BoolVar(&e.apply, "apply", false, "nft: replace the sets in the kernel instead of writing a table")
	f.BoolVar(&e.dryRun, "dry-run", false, "nft: print what --apply would change, and change nothing")
	f.BoolVar(&e.withoutNames, "without-names", false, "leave out entries about host and HELO names")
	f.BoolVar(&e.withoutNetworks, "without-networks", false, "postfix-addresses: leave networks to postfix-networks")
	f.BoolVar(&e.withoutDNS, "without-dns", false, "decide as the daemon does while no DNS list answers")
	refuseBoth(cmd, "output", "apply")
	return cmd
}

// validate refuses flags that make no sense together.
func (e *exportFlags) validate() error {
	isNFT := e.format == "nft"
	switch {
	case e.format == "":
		return errors.New("missing --format: write one of " + strings.Join(export.Formats(), ", "))
	case !slices.Contains(export.Formats(), e.format):
		return fmt.Errorf("--format: unknown format %q: write one of %s", e.format, strings.Join(export.Formats(), ", "))
	case !isNFT && (e.action != "" || e.set != "" || e.apply || e.dryRun):
		return errors.New("--action, --set, --apply and --dry-run are about sets: they need --format nft")
	case isNFT && e.action == "":
		return errors.New("--format nft needs --action: write --action offer for the clients that a list offers STARTTLS to, or suppress, require or legacy")
	case (e.ifChanged || e.then != "") && e.output == "":
		return errors.New("--if-changed and --then are about a file: name it with -o")
	case e.service != "" && !export.IsForPostfix(e.format):
		return errors.New("--service is for the formats of Postfix: the other mail servers have one table for all services")
	case e.withoutNetworks && e.format != export.PostfixAddresses:
		return errors.New("--without-networks is for --format " + export.PostfixAddresses + ": the other tables have networks")
	case e.networks != "" && (e.format != export.PostfixAddresses || e.output == ""):
		return errors.New("--networks is for --format " + export.PostfixAddresses + ", and needs -o for the addresses")
	case e.keyword != "" && e.format != "exim-hosts":
		return errors.New("--keyword is for --format exim-hosts: the other tables are about all keywords")
	case e.dryRun && !e.apply:
		return errors.New("--dry-run needs --apply: without it nothing is changed anyway")
	}
	return nil
}

func (e *exportFlags) export(ctx context.Context, o *options, about subject, action lists.Action, set nft.Set, stdout, stderr io.Writer) error {
	files, err := e.findFiles()
	if err != nil {
		return err
	}
	p, err := e.load(ctx, o, stderr)
	if err != nil {
		return err
	}
	unchanged := "what was exported before stays as it is"
	if e.apply {
		unchanged = fmt.Sprintf("the sets %s4 and %s6 stay as they are", set, set.Name)
	}
	if p == nil {
		return errors.New("nothing is exported, since a list cannot be loaded; " + unchanged)
	}
	for _, f := range files {
		if what := p.FindInput(f.Info); what != "" {
			return fmt.Errorf("%s: %s is %s, which a table must not replace: name another file", f.flag, f.name, what)
		}
	}
	p.WithoutNetworks = e.withoutNetworks || e.networks != ""
	if p.Service, p.Keyword = about.service, about.keyword; e.apply {
		if err := o.addLearned(ctx, p, action); err != nil {
			return fmt.Errorf("nothing is exported, since ehlogate does not tell what it learned; %s: %w", unchanged, err)
		}
	}
	if e.apply {
		return e.fillSets(ctx, p, action, set, stdout)
	}
	write := func(out io.Writer) error {
		if e.format == "nft" {
			return p.WriteNFT(ctx, out, action, set)
		}
		return p.WriteTable(ctx, e.format, out)
	}
	table := textOf(write)
	if e.output == "" {
		return table(stdout)
	}
	files[0].text = table
	if len(files) > 1 {
		files[1].text = textOf(func(out io.Writer) error { return writeNetworks(ctx, p, out) })
	}
	err = e.writeTables(ctx, files, stdout, stderr)
	if err == nil && e.ifChanged && p.Edited() {
		return errOutdated
	}
	return err
}

// subject is what a table is about.
type subject struct {
	service lists.Service
	keyword lists.Keywords
}

// parseSubject reads --service and --keyword.
func (e *exportFlags) parseSubject() (s subject, err error) {
	if e.service != "" {
		if err = s.service.UnmarshalText([]byte(e.service)); err != nil {
			return s, fmt.Errorf("--service: %w", err)
		}
	}
	if e.keyword != "" && !strings.EqualFold(e.keyword, "starttls") {
		if s.keyword, err = lists.ParseKeyword(e.keyword); err != nil {
			return s, fmt.Errorf("--keyword: %w: write one of starttls, %s", err, export.EximKeywords)
		}
	}
	return s, nil
}
