package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/cmd/ehlogate/internal/listedit"
)

func newList(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Change your lists, and see what that changes",
		Long: `Changes your own list files, one line at a time, and shows first what that
changes for clients. The file stays yours: other lines, comments, order, owner
and permissions are kept, and you may go on to edit it by hand. What the daemon
would refuse is not written. The daemon follows the files; no command is sent
to it, and it need not run.

    ehlogate list add deny 192.0.2.7 --for 4h --reason "printer, TLS 1.0"
    ehlogate list rm deny 192.0.2.7
    ehlogate list show        the lists; with a name, its entries
    ehlogate list find ADDR   which entries match a client
    ehlogate list edit deny   your editor, a check, the effect, then in place
    ehlogate list prune       cut the entries that have expired
    ehlogate list import deny FILE
    ehlogate list log         which edits were made, when and by which user
    ehlogate list undo        take back the last one`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newListAdd(o), newListRemove(o), newListShow(o), newListFind(o), newListEdit(o), newListPrune(o), newListImport(o), newListLog(o), newListUndo(o))
	return cmd
}

// editFlags are the flags of commands that change a list.
type editFlags struct {
	options            *options
	file, reason       string
	dryRun, yes, force bool
}

// register adds the flags to a command.
func (f *editFlags) register(cmd *cobra.Command, withFile bool) {
	flags := cmd.Flags()
	if withFile {
		flags.StringVar(&f.file, "file", "", "the `FILE` of the list, if it has several")
	}
	flags.StringVar(&f.reason, "reason", "", "why, as one line of `TEXT`")
	flags.BoolVarP(&f.dryRun, "dry-run", "n", false, "show what would change, and write nothing")
	flags.BoolVarP(&f.yes, "yes", "y", false, "write it, also where a question would be asked")
	flags.BoolVar(&f.force, "force", false, "change a file that an editor seems to have open")
}

// newEditor returns an editor of the lists of the config.
func (f *editFlags) newEditor() (*listedit.Editor, error) {
	if err := listedit.CheckReason(f.reason); err != nil {
		return nil, err
	}
	cfg, err := f.options.loadConfig()
	if err != nil {
		return nil, exitError{exitWrong, explainConfigAccess(err)}
	}
	if cfg.File == "" {
		return nil, exitError{exitWrong, fmt.Errorf("there is no %s: name the config with -c", config.DefaultFile)}
	}
	return &listedit.Editor{Config: cfg, Clock: clock, User: listedit.FindUser(), File: f.file, Force: f.force}, nil
}

// explainConfigAccess adds what to do about a config that may not be read.
func explainConfigAccess(err error) error {
	if errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("%w: run this with sudo", err)
	}
	return err
}

// finish shows what a plan changes, asks if need be, and has it written.
func (f *editFlags) finish(cmd *cobra.Command, p *listedit.Plan, err error) error {
	out := cmd.OutOrStdout()
	if err != nil {
		return exitError{exitWrong, err}
	}
	if p.Nothing != "" {
		fmt.Fprintf(out, "nothing to do: %s\n", p.Nothing)
		return nil
	}
	return f.write(cmd, p)
}

// write shows the effect of a plan, and has it written.
func (f *editFlags) write(cmd *cobra.Command, p *listedit.Plan) error {
	out := cmd.OutOrStdout()
	fmt.Fprint(out, describeEffect(p))
	cautions := f.findCautions(cmd, p)
	for _, c := range cautions {
		fmt.Fprintf(out, "  careful: %s\n", c)
	}
	if f.dryRun {
		fmt.Fprint(out, p.Preview())
		return nil
	}
	if len(cautions) > 0 && !f.yes {
		if err := confirm(cmd, "Write it?"); err != nil {
			return exitError{exitWrong, err}
		}
	}
	record, err := p.Write()
	if listedit.IsNothing(err) {
		fmt.Fprintf(out, "nothing to do: %v\n", err)
		return nil
	}
	if err != nil {
		return exitError{exitWrong, err}
	}
	fmt.Fprint(out, record.Done())
	if record.IsTooLong() && !p.IsFinal() {
		fmt.Fprintln(out, "the journal has no room for so many lines: undo cannot take this back")
	}
	return nil
}

// describeEffect returns the effect of a plan, and warns about names that it writes, although they never count.
func describeEffect(p *listedit.Plan) string {
	text := p.Text()
	hosts, helo := p.NewNames()
	for _, problem := range findUnpassedNames(p.Config(), p.List(), hosts, helo) {
		text += problem.Report("warning")
	}
	return text
}

// findCautions shows what logs tell, and returns why an operator should think twice.
func (f *editFlags) findCautions(cmd *cobra.Command, p *listedit.Plan) (cautions []string) {
	sessions, caution := f.options.showSessions(cmd.Context(), p)
	fmt.Fprint(cmd.OutOrStdout(), sessions)
	if caution != "" {
		cautions = append(cautions, caution)
	}
	if wide := p.Wide(); wide != "" {
		cautions = append(cautions, wide)
	}
	if p.IsFinal() {
		cautions = append(cautions, "the journal has no room for so many lines: undo cannot take this back")
	}
	return cautions
}

// confirm asks the operator, at a terminal.
func confirm(cmd *cobra.Command, question string) error {
	in, ok := cmd.InOrStdin().(*os.File)
	if !ok || !isInteractive(in) {
		return errors.New("nothing was changed: to do it, give --yes")
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s [y/N] ", question)
	if answer := strings.ToLower(strings.TrimSpace(readLine(in))); answer != "y" && answer != "yes" {
		return errors.New("nothing was changed")
	}
	return nil
}

// isInteractive reports whether an operator can answer.
func isInteractive(in *os.File) bool {
	info, err := in.Stat()
	null, nullErr := os.Stat(os.DevNull)
	return err == nil && nullErr == nil && info.Mode()&os.ModeCharDevice != 0 && !os.SameFile(info, null)
}

// needListAndEntry is for the arguments of add and rm.
func needListAndEntry(cmd *cobra.Command, args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("want a list and an entry: write %s LIST ENTRY, as in %s deny 192.0.2.7", cmd.CommandPath(), cmd.CommandPath())
	}
	return nil
}
