package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"ehlogate/cmd/ehlogate/internal/adopt"
	"ehlogate/lists"
	"ehlogate/lists/diag"
	"ehlogate/lists/feed"
	"ehlogate/lists/filewatch"
)

type importFlags struct {
	output, prefix, service string
}

func newImport() *cobra.Command {
	var f importFlags
	cmd := &cobra.Command{
		Use:   "import TYPE:FILE... -o DIR",
		Short: "Turn a table of EHLO keywords into lists",
		Long: `Turns the tables that smtpd_discard_ehlo_keyword_address_maps of Postfix names
into lists with the same answers for every client. There is one list for each
result, such as "dsn, chunking". Write the tables as main.cf does, in the same
order; TYPE is cidr, or texthash, hash, lmdb, cdb, btree, dbm or sdbm, of which
the source is read (FILE without .db).

The lists are written to new files in DIR, and their sections for the config to
standard output. Existing files are not touched.

The lists answer for the clients of the tables alone. To all others, and to
those alone, applies smtpd_discard_ehlo_keywords, as before: if it is set, leave
always_hide of the config empty.

To see that nothing changes, ask Postfix by both before it uses the lists:
    postmap -q 192.0.2.7 cidr:/etc/postfix/discard.cidr
    ehlogate explain 192.0.2.7`,
		Example: `  ehlogate import cidr:/etc/postfix/discard.cidr -o /etc/ehlogate/lists >>/etc/ehlogate/ehlogate.toml
  ehlogate import $(postconf -hx smtpd_discard_ehlo_keyword_address_maps) -o lists`,
		RunE: func(cmd *cobra.Command, args []string) error {
			tables, service, err := f.parse(args)
			if err != nil {
				return exitError{exitUsage, err}
			}
			if err := f.run(tables, service, cmd.OutOrStdout(), cmd.ErrOrStderr()); err != nil {
				return exitError{exitWrong, err}
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.output, "output", "o", "", "write the files of the lists into `DIR`")
	flags.StringVar(&f.prefix, "prefix", "imported-", "what the names of the lists begin with, `PREFIX`")
	flags.StringVar(&f.service, "service", "smtp", "the `SERVICE` whose smtpd has the tables: smtp, submission")
	return cmd
}

// keywordTable is a table as main.cf names it.
type keywordTable struct {
	file    string
	isCIDR  bool
	written string // as the operator wrote it
}

// indexedTypes are the types of tables in which Postfix looks whole addresses up, and whose source is a text.
var indexedTypes = []string{"texthash", "hash", "lmdb", "cdb", "btree", "dbm", "sdbm"}

func (f *importFlags) parse(args []string) (tables []keywordTable, service lists.Service, err error) {
	for _, arg := range args {
		for _, table := range strings.FieldsFunc(arg, func(r rune) bool { return r == ',' || r == ' ' }) {
			kind, file, ok := strings.Cut(table, ":")
			switch {
			case !ok || file == "":
				return nil, 0, fmt.Errorf("%q has no type: write it as main.cf does, as in cidr:/etc/postfix/discard.cidr", table)
			case kind != "cidr" && !slices.Contains(indexedTypes, kind):
				return nil, 0, fmt.Errorf("tables of type %q cannot be imported: of what can be listed there are cidr and %s", kind, strings.Join(indexedTypes, ", "))
			}
			tables = append(tables, keywordTable{file, kind == "cidr", table})
		}
	}
	switch {
	case len(tables) == 0:
		return nil, 0, errors.New("missing table: write it as main.cf does, as in cidr:/etc/postfix/discard.cidr")
	case f.output == "":
		return nil, 0, errors.New("missing -o DIR: the directory for the files of the lists, such as /etc/ehlogate/lists")
	}
	if err := service.UnmarshalText([]byte(f.service)); err != nil {
		return nil, 0, fmt.Errorf("--service: %w", err)
	}
	return tables, service, nil
}

func (f *importFlags) run(tables []keywordTable, service lists.Service, stdout, stderr io.Writer) error {
	var all feed.KeywordTables
	var sources []string
	for _, t := range tables {
		sources = append(sources, t.written)
		if err := t.read(&all); err != nil {
			return err
		}
	}
	for _, unused := range []*diag.Problems{&all.Findings.Skipped, &all.Unused} {
		if unused.Total > 0 {
			fmt.Fprintf(stderr, "%s", unused.Report("warning"))
		}
	}
	if len(all.Rules) == 0 {
		return errors.New("the tables have no rule, so there is no list to write")
	}
	imported := adopt.Lists(all.Rules, f.prefix)
	for _, l := range imported {
		if l.Suppress && service == lists.Submission {
			e := l.Entries[0]
			return fmt.Errorf("%s:%d hides starttls on submission, where passwords would go in the clear: ehlogate never does; remove starttls from the table first", e.File, e.Line)
		}
	}
	dir, err := filepath.Abs(f.output)
	if err != nil {
		return err
	}
	return writeLists(imported, dir, strings.Join(sources, ", "), service, stdout, stderr)
}

func (t keywordTable) read(all *feed.KeywordTables) error {
	file, err := os.Open(t.file)
	if err != nil {
		return err
	}
	defer file.Close()
	if t.isCIDR {
		return all.ReadCIDR(file, t.file)
	}
	return all.ReadIndexed(file, t.file)
}

// writeLists writes the files of lists, and their sections for the config to stdout. If one of the files exists, it writes
// none.
func writeLists(all []*adopt.List, dir, source string, service lists.Service, stdout, stderr io.Writer) error {
	var written []string
	for _, l := range all {
		name := filepath.Join(dir, l.Name+".list")
		if err := writeNewFile(name, l.Text(source)); err != nil {
			for _, name := range written {
				err = errors.Join(err, os.Remove(name))
			}
			return err
		}
		written = append(written, name)
	}
	for i, l := range all {
		fmt.Fprintf(stderr, "wrote %s (%s)\n", written[i], formatCount(len(l.Entries), "line", "lines"))
		if _, err := io.WriteString(stdout, l.Config(filewatch.EscapeGlob(written[i]), service)); err != nil {
			return err
		}
	}
	fmt.Fprintln(stderr, `the sections above belong into the config: "ehlogate check" checks them`)
	return nil
}

func writeNewFile(name string, data []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s exists already, and nothing was written: choose another --prefix or directory", name)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(name))
	}
	return nil
}
