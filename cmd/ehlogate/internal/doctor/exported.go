package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"ehlogate/cmd/ehlogate/internal/export"
)

const cidrFormat = "postfix-cidr"

// checkExported looks whether a table is what ehlogate would export now. ok is false if it was not exported in this
// format.
func (e *exam) checkExported(format, name string, data []byte, at Place) (ok bool) {
	made, flags, ok := export.ParseHeader(data)
	if !ok || made != format {
		return false // the operator's own
	}
	p, err := e.loadPolicy()
	var needed []string
	if err == nil {
		needed, err = p.NeededFlags()
	}
	lacks := missingFlags(flags, needed)
	write := Write{shell, []string{e.exportCommand(format, append(flags, lacks...), name)}}
	e.checkReloaded(name, format, at, write)
	if err != nil && e.host.Saved {
		e.addUnread(at, "what "+name+" was exported from", err)
		return true
	}
	if err != nil {
		write.Lines[0] = e.command("check") + " && " + write.Lines[0]
		e.addWarning("table-stays-behind", at, name+" cannot be updated: the export fails", fmt.Sprintf("The table stays as it is, whatever you edit: %v.", err), write)
		return true
	}
	line, dropIn := e.adviseExportUnit(name, needed)
	why := ""
	if line != "" {
		why = "ehlogate-export.service fails at each run: it lacks " + strings.Join(missingFlags(strings.Fields(line), needed), " and ") + "."
	}
	if len(lacks) > 0 {
		e.addWarning("table-stays-behind", at, name+" cannot be updated with the flags that it was exported with",
			strings.TrimSpace(fmt.Sprintf("The table stays as it is, whatever you edit: the export needs %s, because the lists or the default contain what no table can express. %s",
				strings.Join(lacks, " and "), why)), write, dropIn)
		return true
	}
	if line != "" {
		e.addWarning("export-unit-fails", at, name+" will not follow the lists", why, dropIn)
	}
	first, err := p.FirstDifference(context.Background(), data)
	switch {
	case err != nil:
		e.addUnread(at, "what "+name+" should be", err)
	case first != "":
		keep := "A timer with \"ehlogate export --if-changed\" keeps the table up to date."
		if format == cidrFormat {
			keep = "ehlogate-export.timer keeps /etc/postfix/ehlogate.cidr up to date."
		}
		e.addWarning("table-behind", at, name+" is out of date: the lists have changed since it was exported",
			fmt.Sprintf("Where the table decides, it decides by the old lists. The first line that differs is %q. %s", first, keep), write)
	}
	return true
}

func (e *exam) exportCommand(format string, flags []string, name string) string {
	command := e.command(append([]string{"export", "--format", format}, flags...)...) + " -o " + name
	if format == cidrFormat {
		command += ` --if-changed --then "postfix reload"`
	}
	return command
}

// missingFlags returns the wanted flags that are not among those present.
func missingFlags(present, wanted []string) (out []string) {
	for _, w := range wanted {
		if !slices.Contains(present, w) {
			out = append(out, w)
		}
	}
	return out
}

// checkReloaded looks for a table whose --then has failed: export gives such a table the time 1970-01-01.
func (e *exam) checkReloaded(name, format string, at Place, write Write) {
	if e.host.Written == nil {
		return
	}
	written, err := e.host.Written(name)
	if err != nil || !written.Equal(time.Unix(0, 0)) {
		return
	}
	if format != cidrFormat {
		write = Write{}
	}
	e.addWarning("table-not-reloaded", at, name+" is new, but the command after its export (--then) has failed",
		"The mail server may still use the old table. The next export with --then runs the command again; journalctl -u ehlogate-export says why it failed.", write)
}

// adviseExportUnit returns the command of the service that exports a table, if it lacks flags, and the drop-in to
// write.
func (e *exam) adviseExportUnit(name string, needed []string) (line string, dropIn Write) {
	if e.host.ExportUnit == nil {
		return "", Write{}
	}
	text, err := e.host.ExportUnit()
	if err != nil {
		return "", Write{} // a table can be exported by other means
	}
	for _, line := range execStarts(text) {
		ws := strings.Fields(line)
		i, j := slices.Index(ws, "export"), slices.Index(ws, name)
		if lacks := missingFlags(ws, needed); i > 0 && j > i && (ws[j-1] == "-o" || ws[j-1] == "--output") && len(lacks) > 0 {
			changed := strings.Replace(line, " export ", " export "+strings.Join(lacks, " ")+" ", 1)
			return line, Write{
				"/etc/systemd/system/ehlogate-export.service.d/flags.conf, then \"systemctl daemon-reload && systemctl start ehlogate-export\"",
				[]string{"[Service]", "ExecStart=", "ExecStart=" + changed},
			}
		}
	}
	return "", Write{}
}

// execStarts returns the commands of a service, from its unit and drop-ins in their order, as systemctl cat writes
// them.
func execStarts(text string) (out []string) {
	text = strings.ReplaceAll(text, "\\\n", " ")
	for l := range strings.Lines(text) {
		command, ok := strings.CutPrefix(strings.TrimSpace(l), "ExecStart=")
		switch {
		case !ok:
		case command == "":
			out = nil
		default:
			out = append(out, strings.Join(strings.Fields(command), " "))
		}
	}
	return out
}

// loadPolicy returns the policy of which an export would make a table now.
func (e *exam) loadPolicy() (*export.Policy, error) {
	cfg := *e.daemon.config
	cfg.Lists = slices.Clone(cfg.Lists)
	for i := range cfg.Lists {
		spec := &cfg.Lists[i].Spec
		spec.Patterns = slices.Clone(spec.Patterns)
		for j, p := range spec.Patterns {
			spec.Patterns[j] = e.host.Pattern(p)
		}
		if e.host.Saved {
			spec.ExpireAfter = 0 // a copy is younger
		}
	}
	p, errs := export.Load(&cfg, time.Now())
	if len(errs) > 0 {
		return nil, firstLine(errs[0])
	}
	return p, nil
}
