package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"ehlogate/cmd/ehlogate/internal/adopt"
	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/lists"
	"ehlogate/lists/diag"
	"ehlogate/lists/feed"
	"ehlogate/lists/filewatch"
	"ehlogate/lists/printable"
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
the source is read (FILE without .db). proxy: before it makes no difference.

The lists are written to new files in DIR, and their sections for the config to
standard output. Existing files are not touched: to import a table again, remove
the files and sections of the import before. A table in main.cf counts on
submission, too: import it once more with --service submission and another
--prefix.

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
	kind    string
	written string // as the operator wrote it
}

// indexedTypes are the types of tables in which Postfix looks whole addresses up, and that are made from a text.
var indexedTypes = []string{"texthash", "hash", "lmdb", "cdb", "btree", "dbm", "sdbm"}

// daemonTypes are the types of tables for which Postfix queries a daemon: ehlogate itself, above all.
var daemonTypes = []string{"memcache", "socketmap", "tcp"}

func (f *importFlags) parse(args []string) (tables []keywordTable, service lists.Service, err error) {
	for _, arg := range args {
		for _, text := range strings.FieldsFunc(arg, func(r rune) bool { return strings.ContainsRune(", \t\r\n", r) }) {
			table, err := parseTable(text)
			if err != nil {
				return nil, 0, err
			}
			tables = append(tables, table)
		}
	}
	switch {
	case len(tables) == 0:
		return nil, 0, errors.New("missing table: " + tableExample)
	case f.output == "":
		return nil, 0, errors.New("missing -o DIR: the directory for the files of the lists, such as /etc/ehlogate/lists")
	case f.prefix != "" && !config.IsListName(f.prefix):
		return nil, 0, fmt.Errorf("--prefix: %q cannot begin the name of a list: use letters and digits, and . _ - after the first character", f.prefix)
	}
	if err := service.UnmarshalText([]byte(f.service)); err != nil {
		return nil, 0, fmt.Errorf("--service: %w", err)
	}
	return tables, service, nil
}

const tableExample = "write it as main.cf does, as in cidr:/etc/postfix/discard.cidr"

// parseTable parses TYPE:FILE. A table behind proxy: is the same table, which another process of Postfix reads.
func parseTable(text string) (t keywordTable, err error) {
	kind, file, ok := strings.Cut(strings.TrimPrefix(text, "proxy:"), ":")
	switch {
	case !ok:
		return t, fmt.Errorf("%q has no type: %s (blanks and commas separate tables)", text, tableExample)
	case kind == "unionmap":
		return t, fmt.Errorf("%q adds up what tables hide: import each of them by itself, with another --prefix, since lists add up, too", text)
	case slices.Contains(daemonTypes, kind):
		return t, fmt.Errorf("%q has no clients of its own, it queries a daemon: leave it out, and name the other tables", text)
	case kind != "cidr" && !slices.Contains(indexedTypes, kind):
		return t, fmt.Errorf("tables of type %q cannot be imported: write their clients into a cidr table first (the types are cidr, %s)", kind, strings.Join(indexedTypes, ", "))
	case file == "":
		return t, fmt.Errorf("%q names no file: %s", text, tableExample)
	}
	return keywordTable{file, kind, text}, nil
}

func (f *importFlags) run(tables []keywordTable, service lists.Service, stdout, stderr io.Writer) error {
	var all feed.KeywordTables
	var sources []string
	for _, t := range tables {
		sources = append(sources, t.written)
		t.warnIfStale(stderr)
		if err := t.read(&all); err != nil {
			return err
		}
	}
	for _, unused := range []*diag.Problems{&all.Findings.Skipped, &all.Unused} {
		if unused.Total > 0 {
			fmt.Fprintf(stderr, "%s", unused.Report("warning"))
		}
	}
	if n := all.Findings.Skipped.Total; n > 0 {
		fmt.Fprintf(stderr, "left out %s that Postfix does not use either: see the warnings\n", formatCount(n, "line", "lines"))
	}
	if len(all.Rules) == 0 {
		return errors.New("the tables have no rule, so there is no list to write")
	}
	imported := adopt.Lists(all.Rules, f.prefix)
	for _, l := range imported {
		if l.Suppress && service == lists.Submission {
			e := l.Entries[0]
			return fmt.Errorf("%s:%d hides starttls on submission, where passwords would go in the clear: ehlogate never does; import a copy of the table without starttls", e.File, e.Line)
		}
	}
	dir, err := findDir(f.output)
	if err != nil {
		return err
	}
	return writeLists(imported, dir, strings.Join(sources, ", "), service, stdout, stderr)
}

// findDir returns the absolute path of the directory for the files of the lists.
func findDir(name string) (string, error) {
	dir, err := filepath.Abs(name)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return "", fmt.Errorf("-o: there is no directory %s: create it first", printable.Escape(dir))
	case err != nil:
		return "", err
	case !info.IsDir():
		return "", fmt.Errorf("-o: %s is no directory", printable.Escape(dir))
	case strings.ContainsFunc(dir, func(r rune) bool { return r == utf8.RuneError || unicode.IsControl(r) }):
		return "", fmt.Errorf("-o: %s has characters that the config cannot contain: choose another directory", printable.Escape(dir))
	}
	return dir, nil
}

func (t keywordTable) read(all *feed.KeywordTables) error {
	file, err := os.Open(t.file)
	if errors.Is(err, os.ErrNotExist) && strings.Contains(t.file, "$") {
		return fmt.Errorf("%w: write the path that it stands for, as postconf -x does", err)
	}
	if err != nil {
		return err
	}
	defer file.Close()
	if t.kind == "cidr" {
		return all.ReadCIDR(file, t.file)
	}
	return all.ReadIndexed(file, t.file)
}

// indexEnding is what Postfix appends to the name of a table for the file that it reads in place of the source.
var indexEnding = map[string]string{"hash": ".db", "btree": ".db", "lmdb": ".lmdb", "cdb": ".cdb", "dbm": ".pag", "sdbm": ".pag"}

// warnIfStale warns of a source that was edited after postmap(1) read it.
func (t keywordTable) warnIfStale(stderr io.Writer) {
	ending, ok := indexEnding[t.kind]
	if !ok {
		return
	}
	source, err := os.Stat(t.file)
	index, other := os.Stat(t.file + ending)
	if err == nil && other == nil && index.ModTime().Before(source.ModTime()) {
		file := printable.Escape(t.file)
		fmt.Fprintf(stderr, "%s: warning: newer than %[1]s%s, by which Postfix answers: \"postmap %s:%[1]s\" makes them the same\n", file, ending, t.kind)
	}
}

// writeLists writes the files of lists, and their sections for the config to stdout. If one of them cannot be written, no
// file stays.
func writeLists(all []*adopt.List, dir, source string, service lists.Service, stdout, stderr io.Writer) (err error) {
	var written []string
	defer func() {
		if err != nil {
			for _, name := range written {
				err = errors.Join(err, os.Remove(name))
			}
		}
	}()
	var sections, report strings.Builder
	for _, l := range all {
		name := filepath.Join(dir, l.Name+".list")
		if err := writeNewFile(name, l.Text(source)); err != nil {
			return err
		}
		written = append(written, name)
		sections.WriteString(l.Config(filewatch.EscapeGlob(name), service))
		fmt.Fprintf(&report, "wrote %s (%s)\n", name, formatCount(len(l.Entries), "line", "lines"))
	}
	if _, err := io.WriteString(stdout, sections.String()); err != nil {
		return fmt.Errorf("the sections for the config cannot be written, and no list was: %w", err)
	}
	fmt.Fprintf(stderr, "%stheir sections, on standard output, belong into the config: \"ehlogate check\" checks them\n", &report)
	return nil
}

func writeNewFile(name string, data []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s exists already, and nothing was written: remove it and its section in the config to import again, or choose another --prefix", name)
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
