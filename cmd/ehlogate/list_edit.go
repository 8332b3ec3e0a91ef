package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"ehlogate/cmd/ehlogate/internal/listedit"
	"ehlogate/lists/filewatch"
)

func newListEdit(o *options) *cobra.Command {
	f := editFlags{options: o}
	cmd := &cobra.Command{
		Use:   "edit LIST",
		Short: "Edit a list in your editor, and see what that changes",
		Long: `Opens a copy of the file in $VISUAL, $EDITOR or vi, as visudo does. When the
editor ends, the copy is checked, and you see for how many clients what changes.
Then you put it in place, edit it again, or discard it. If the file was changed
meanwhile, it is left alone, and your copy is kept; also after Ctrl-C.

Without a terminal, or with --yes, a copy without errors is put in place.`,
		Example: "  ehlogate list edit deny\n  EDITOR=nano ehlogate list edit deny --reason 'moved to the new network'",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("want one list: write %s LIST, as in %s deny", cmd.CommandPath(), cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := f.newEditor()
			if err != nil {
				return err
			}
			if err := f.edit(cmd, e, args[0]); err != nil {
				return exitError{exitWrong, err}
			}
			return nil
		},
	}
	f.register(cmd, true)
	return cmd
}

// copyOfList is a copy of a list file that an operator edits.
type copyOfList struct {
	list, file string // of which it is a copy
	was        []byte // the text of that
	path       string
}

// edit has the operator edit a list until the copy is put in place or discarded.
func (f *editFlags) edit(cmd *cobra.Command, e *listedit.Editor, list string) error {
	c := copyOfList{list: list}
	var err error
	if c.file, err = e.ChooseFile(list); err != nil {
		return err
	}
	if c.was, err = e.ReadFile(c.file); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "ehlogate-")
	if err != nil {
		return err
	}
	c.path = filepath.Join(dir, filepath.Base(c.file))
	if err := os.WriteFile(c.path, c.was, 0o600); err != nil {
		os.RemoveAll(dir)
		return err
	}
	keep, err := f.editCopy(cmd, e, c)
	if keep {
		return fmt.Errorf("%w\nyour copy is kept: %s", err, c.path)
	}
	os.RemoveAll(dir)
	return err
}

// editCopy returns whether the copy has changes that are not in place.
func (f *editFlags) editCopy(cmd *cobra.Command, e *listedit.Editor, c copyOfList) (keep bool, err error) {
	for {
		if err := runEditor(c.path); err != nil {
			text, readErr := filewatch.ReadFile(c.path, listedit.MaxSize)
			return readErr == nil && !bytes.Equal(text, c.was), err
		}
		text, err := filewatch.ReadFile(c.path, listedit.MaxSize)
		if errors.Is(err, fs.ErrNotExist) {
			return false, fmt.Errorf("nothing was changed: the editor removed its file: %w", err)
		}
		if err != nil {
			return false, fmt.Errorf("nothing was changed: the editor left no text: %w", err)
		}
		p, err := e.PlanText(c.list, c.file, c.was, text, f.reason)
		switch {
		case err == nil && p.Nothing != "":
			fmt.Fprintln(cmd.OutOrStdout(), "nothing to do: "+p.Nothing)
			return false, nil
		case err == nil:
			fmt.Fprint(cmd.OutOrStdout(), describeEffect(p), p.Preview())
		case errors.Is(err, listedit.ErrChanged): // to edit the copy again would not help
			return true, err
		default:
			reportError(cmd.ErrOrStderr(), err)
		}
		if f.dryRun && err == nil {
			return false, nil
		}
		if f.dryRun {
			return false, errors.New("nothing was changed")
		}
		switch f.chooseNext(cmd, err == nil) {
		case 'e':
			continue
		case 'd':
			fmt.Fprintln(cmd.OutOrStdout(), "nothing was changed")
			return false, nil
		case 'k':
			return true, errors.New("nothing was changed")
		case 'p':
			if err != nil {
				return true, errors.New("nothing was changed")
			}
		}
		record, err := p.Write()
		if err == nil {
			fmt.Fprintf(cmd.OutOrStdout(), "wrote %s, edit %d\n", record.File, record.Number)
		}
		return err != nil, err
	}
}

// chooseNext asks what to do with a copy: p, put it in place; e, edit it again; d, discard it; k, keep it where it is, since
// the operator is gone. Without a terminal, or with --yes, that is p.
func (f *editFlags) chooseNext(cmd *cobra.Command, isFine bool) byte {
	in, ok := cmd.InOrStdin().(*os.File)
	if f.yes || !ok || !isInteractive(in) {
		return 'p'
	}
	question, valid := "put it in place (p), edit again (e), discard (d)?", "ped"
	if !isFine {
		question, valid = "edit again (e), discard (d)?", "ed"
	}
	for {
		fmt.Fprintf(cmd.OutOrStdout(), "%s ", question)
		answer := strings.ToLower(awaitLine(in))
		switch {
		case answer == "":
			fmt.Fprintln(cmd.OutOrStdout())
			return 'k'
		case len(answer) == 2 && strings.Contains(valid, answer[:1]):
			return answer[0]
		}
	}
}

// awaitLine reads a line; "" if the terminal is gone, or the operator interrupts. The command ends then.
func awaitLine(in *os.File) string {
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGHUP)
	defer signal.Stop(interrupted)
	lines := make(chan string, 1)
	go func() { lines <- readLine(in) }()
	select {
	case line := <-lines:
		return line
	case <-interrupted:
		return ""
	}
}

// readLine reads a line byte by byte: what is behind it may be for the editor.
func readLine(in *os.File) (line string) {
	for b := make([]byte, 1); !strings.HasSuffix(line, "\n"); line += string(b) {
		if n, err := in.Read(b); n == 0 || err != nil {
			break
		}
	}
	return line
}

// runEditor has the operator edit a file.
func runEditor(path string) error {
	name, err := findEditor()
	if err != nil {
		return err
	}
	interrupted := make(chan os.Signal, 1) // of the editor, which shares the terminal
	signal.Notify(interrupted, unix.SIGINT, unix.SIGQUIT)
	defer signal.Stop(interrupted)
	cmd := exec.Command("sh", "-c", name+` "$1"`, "editor", path)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("nothing was changed: the editor failed (%s): %w", name, err)
	}
	return nil
}

// findEditor returns the editor of the operator, which may be a command with options.
func findEditor() (string, error) {
	for _, variable := range []string{"VISUAL", "EDITOR"} {
		if name := os.Getenv(variable); strings.TrimSpace(name) != "" {
			return name, nil
		}
	}
	for _, name := range []string{"editor", "vi", "nano"} {
		if _, err := exec.LookPath(name); err == nil {
			return name, nil
		}
	}
	return "", errors.New("no editor: set EDITOR, as in EDITOR=nano ehlogate list edit LIST")
}
