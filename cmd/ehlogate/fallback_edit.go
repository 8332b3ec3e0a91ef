package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/cmd/ehlogate/internal/edit"
	"ehlogate/lists"
	"ehlogate/lists/listfile"
)

// forgetTime is how long a client that is forgotten stays in the file of clients that are not learned, so that the daemon
// sees it there.
const forgetTime = 10 * time.Minute

func newFallbackPromote(o *options) *cobra.Command {
	var list string
	cmd := &cobra.Command{
		Use:   "promote ADDR",
		Short: "Write a client into a list of your own",
		Long: `Writes the client at ADDR into the first list of files with the same action,
with its evidence as the note. It stays there until you remove the line: it does
not end by itself, and no longer gives way to MTA-STS or DANE.`,
		Example: "  ehlogate fallback promote 192.0.2.7\n  ehlogate fallback promote 192.0.2.7 --list deny",
		Args:    needClient,
		RunE: func(cmd *cobra.Command, args []string) error {
			addr, err := lists.ParseAddr(args[0])
			if err != nil {
				return err
			}
			text, err := o.promote(cmd, addr, list)
			return finishEdit(cmd, text, err)
		},
	}
	cmd.Flags().StringVar(&list, "list", "", "the `NAME` of the list (default: the first with the action of the entry)")
	return cmd
}

func (o *options) promote(cmd *cobra.Command, addr netip.Addr, name string) (done string, err error) {
	cfg, err := o.loadConfig()
	if err != nil {
		return "", err
	}
	r, err := o.getLearnedClient(cmd.Context(), addr)
	if err != nil {
		return "", err
	}
	if r.Fallback.Entry == nil {
		return "", fmt.Errorf("%s is not learned (%s): \"ehlogate list add LIST %[1]s\" lists it all the same", addr, strings.Join(r.Fallback.NotLearned, "; "))
	}
	l, err := chooseOwnList(cfg, name, r.Fallback.Entry.Action)
	if err != nil {
		return "", err
	}
	path, err := onlyFile(l.Spec.Patterns, fmt.Sprintf("list %q", l.Name))
	if err != nil {
		return "", err
	}
	line := fmt.Sprintf("%s  # promoted %s: %s", addr, today(), evidenceOf(r.Fallback))
	if done, err = writeEntryLine(path, l.Spec.Rules, line, edit.AppendLine); err != nil {
		return "", err
	}
	return fmt.Sprintf("list %q: %s", l.Name, done), nil
}

// chooseOwnList returns the list of the operator's own files with a name; the first with an action if the name is empty.
func chooseOwnList(cfg *config.Config, name, action string) (*config.List, error) {
	for i := range cfg.Lists {
		l := &cfg.Lists[i]
		own := l.IsOfFiles() && l.Spec.Format == nil
		switch {
		case name == "" && own && l.Action.String() == action:
			return l, nil
		case name == l.Name && !own:
			return nil, fmt.Errorf("list %q is not one of your own files", name)
		case name == l.Name && l.Action.String() != action:
			return nil, fmt.Errorf("list %q has another action, %s: the entry has %s", name, l.Action, action)
		case name == l.Name:
			return l, nil
		}
	}
	if name != "" {
		return nil, fmt.Errorf("there is no list %q", name)
	}
	return nil, fmt.Errorf("there is no list of your own files with action = %q: add one to the config", action)
}

// onlyFile returns the first file of a list, which a command can write into.
func onlyFile(patterns []string, what string) (string, error) {
	for _, p := range patterns {
		if file := unescapeGlob(p); file != "" {
			return file, nil
		}
	}
	return "", fmt.Errorf("%s has only patterns in place of file names: write the line by hand", what)
}

// unescapeGlob returns the one file name that a pattern matches; "" if it can match others.
func unescapeGlob(pattern string) string {
	var b strings.Builder
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; c {
		case '*', '?', '[':
			return ""
		case '\\':
			if i++; i == len(pattern) {
				return ""
			}
			b.WriteByte(pattern[i])
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

func newFallbackForget(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "forget ADDR",
		Short: "End the entry of a client, which may be learned again",
		Long: `Has the daemon end the entry of the client at ADDR and forget its evidence. If
its TLS goes on to fail, it is learned again, from new evidence.`,
		Example: "  ehlogate fallback forget 192.0.2.7",
		Args:    needClient,
		RunE: func(cmd *cobra.Command, args []string) error {
			addr, err := lists.ParseAddr(args[0])
			if err != nil {
				return err
			}
			until := time.Now().Add(forgetTime).UTC()
			text, err := o.exclude(fmt.Sprintf("%s until=%s  # forgotten %s", addr, until.Format(time.RFC3339), today()))
			return finishEdit(cmd, text, err)
		},
	}
}

func newFallbackForbid(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "forbid ADDR",
		Short: "End the entry of a client, and never learn it",
		Long: `Writes ADDR into the file of clients that are not learned, [learn] never. It may
be whatever a list file may have: an address, a network, a host name.`,
		Example: "  ehlogate fallback forbid 192.0.2.7\n  ehlogate fallback forbid .example.net",
		Args:    needClient,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkForbidden(args[0]); err != nil {
				return err
			}
			text, err := o.exclude(fmt.Sprintf("%s  # forbidden %s", args[0], today()))
			return finishEdit(cmd, text, err)
		},
	}
}

// checkForbidden refuses what would be written, and forbid nothing.
func checkForbidden(entry string) error {
	switch {
	case entry == "" || strings.ContainsAny(entry, " \t\r\n#"):
		return fmt.Errorf("%q is not one entry of a list", entry)
	case strings.HasPrefix(entry, "!"):
		return fmt.Errorf("%q is an exception, which may be learned again: edit the file of [learn] never by hand", entry)
	case strings.HasPrefix(strings.ToLower(entry), "helo:"):
		return fmt.Errorf("%q is a HELO name, and clients are learned by their address: write an address, a network or a host name", entry)
	}
	return nil
}

// exclude writes a line into the file of clients that are not learned, in place of those that were forgotten before.
func (o *options) exclude(line string) (done string, err error) {
	cfg, err := o.loadConfig()
	if err != nil {
		return "", err
	}
	never := cfg.Learn.Never
	if len(never.Patterns) == 0 {
		return "", errors.New(`the config names no file for clients that are not learned: write never = ["lists/never.list"] in [learn], make the file with a comment in it, and reload`)
	}
	path, err := onlyFile(never.Patterns, "[learn] never")
	if err != nil {
		return "", err
	}
	return writeEntryLine(path, never.Rules, line, func(text []byte, line string) []byte {
		return edit.AppendLine(dropForgotten(text, time.Now()), line)
	})
}

// writeEntryLine adds a line to a file, unless it has the entry already. It returns what to tell the operator.
func writeEntryLine(path string, rules listfile.Rules, line string, add func(text []byte, line string) []byte) (done string, err error) {
	there := 0
	err = edit.File{Path: path, Rules: rules}.Change(func(text []byte) ([]byte, error) {
		if there = findEntry(text, line); there > 0 {
			return text, nil
		}
		return add(text, line), nil
	})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("%w: create it, with a comment in it: echo '# a list of ehlogate' >%s", err, path)
	case err != nil:
		return "", err
	case there > 0:
		return fmt.Sprintf("nothing to do: %s:%d has it already\n", path, there), nil
	}
	return fmt.Sprintf("wrote into %s, which the daemon follows:\n    %s\n", path, line), nil
}

// findEntry returns the number of the line that has the entry of another line, whatever their notes are; 0 if there is none.
func findEntry(text []byte, line string) int {
	entryOf := func(line string) string {
		entry, _, _ := strings.Cut(line, "#")
		return strings.Join(strings.Fields(entry), " ")
	}
	number := 0
	for other := range strings.Lines(string(text)) {
		if number++; entryOf(other) == entryOf(line) {
			return number
		}
	}
	return 0
}

// dropForgotten removes the lines of "forget" that have expired.
func dropForgotten(text []byte, now time.Time) []byte {
	var kept strings.Builder
	for line := range strings.SplitAfterSeq(string(text), "\n") {
		_, rest, found := strings.Cut(line, " until=")
		until, note, _ := strings.Cut(rest, "  # forgotten ")
		if at, err := time.Parse(time.RFC3339, until); found && note != "" && err == nil && at.Before(now) {
			continue
		}
		kept.WriteString(line)
	}
	return []byte(kept.String())
}

func today() string { return time.Now().UTC().Format(time.DateOnly) }

// finishEdit prints what a command wrote.
func finishEdit(cmd *cobra.Command, text string, err error) error {
	if err != nil {
		return exitError{exitWrong, err}
	}
	fmt.Fprint(cmd.OutOrStdout(), text)
	return nil
}
