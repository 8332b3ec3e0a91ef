package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/cmd/ehlogate/internal/export"
)

// inStep looks whether a table is what ehlogate would export now. ok is false if it was not exported in this format.
func (e *exam) inStep(format, name string, data []byte, at Place) (ok bool) {
	made, flags, ok := export.ParseHeader(data)
	if !ok || made != format {
		return false // the operator's own
	}
	p, err := e.exported()
	var needed []string
	if err == nil {
		needed, err = p.NeededFlags()
	}
	lacks := missing(flags, needed)
	write := Write{shell, []string{e.exportCommand(format, append(flags, lacks...), name)}}
	e.pending(name, format, at, write)
	if err != nil && e.host.Saved {
		e.unread(at, "what "+name+" was exported from", err)
		return true
	}
	f := Finding{ID: "table-stays-behind", Severity: Warning, Place: at, Write: write}
	if err != nil {
		f.What = fmt.Sprintf("%s cannot be brought in step with the lists", name)
		f.Why = fmt.Sprintf("It stays as it is, whatever is edited, since an export fails: %v.", err)
		f.Write.Lines[0] = e.command("check") + " && " + f.Write.Lines[0]
		e.add(f)
		return true
	}
	if len(lacks) > 0 {
		f.What = fmt.Sprintf("%s cannot be brought in step with the lists by the flags that it was exported with", name)
		f.Why = fmt.Sprintf("It stays as it is, whatever is edited: an export needs %s, since the lists or the default have what no table can hold.",
			strings.Join(lacks, " and "))
	}
	line, dropIn := e.exportUnit(name, needed)
	if line != "" {
		f.Why = strings.TrimSpace(f.Why + " ehlogate-export.service fails at each run: it lacks " + strings.Join(missing(strings.Fields(line), needed), " and ") + ".")
	}
	switch {
	case len(lacks) > 0 && line != "":
		e.advise(f, []Write{write, dropIn})
	case len(lacks) > 0:
		e.add(f)
	case line != "":
		e.add(Finding{ID: "export-unit-fails", Severity: Warning, Place: at, What: name + " will not be brought in step with the lists", Why: f.Why, Write: dropIn})
	}
	if len(lacks) > 0 {
		return true
	}
	first, err := p.FirstDifference(context.Background(), data)
	switch {
	case err != nil:
		e.unread(at, "what "+name+" should be", err)
	case first != "":
		keep := "A timer with \"ehlogate export --if-changed\" keeps it in step."
		if format == cidrFormat {
			keep = "ehlogate-export.timer keeps /etc/postfix/ehlogate.cidr in step."
		}
		e.add(Finding{
			ID: "table-behind", Severity: Warning, Place: at,
			What:  fmt.Sprintf("%s was exported from other lists than those of now", name),
			Why:   fmt.Sprintf("Where it decides, it decides by what the lists said then; the first line that differs is %q. %s", first, keep),
			Write: write,
		})
	}
	return true
}

const cidrFormat = "postfix-cidr"

// command is one of ehlogate's, about the config that is looked over.
func (e *exam) command(words ...string) string {
	out := "ehlogate " + words[0]
	if e.gate.File != config.DefaultFile {
		out += " -c " + e.gate.File
	}
	return strings.Join(append([]string{out}, words[1:]...), " ")
}

func (e *exam) exportCommand(format string, flags []string, name string) string {
	command := e.command(append([]string{"export", "--format", format}, flags...)...) + " -o " + name
	if format == cidrFormat {
		command += ` --if-changed --then "postfix reload"`
	}
	return command
}

// missing returns the wanted flags that are not among those present.
func missing(present, wanted []string) (out []string) {
	for _, w := range wanted {
		if !slices.Contains(present, w) {
			out = append(out, w)
		}
	}
	return out
}

// pending looks for a table whose --then has not succeeded: export gives such a table the time 1970-01-01.
func (e *exam) pending(name, format string, at Place, write Write) {
	if e.host.Written == nil {
		return
	}
	written, err := e.host.Written(name)
	if err != nil || !written.Equal(time.Unix(0, 0)) {
		return
	}
	f := Finding{
		ID: "table-not-reloaded", Severity: Warning, Place: at,
		What: fmt.Sprintf("%s is new, and the command that should make it known (--then) has not succeeded", name),
		Why:  "The mail server may still use the table of before. The next export with --then runs the command again; journalctl -u ehlogate-export says why it failed.",
	}
	if format == cidrFormat {
		f.Write = write
	}
	e.add(f)
}

// exportUnit looks whether the service that exports a table has the flags that are needed. It returns the command of the
// service, and the drop-in to write.
func (e *exam) exportUnit(name string, needed []string) (line string, dropIn Write) {
	if e.host.ExportUnit == nil {
		return "", Write{}
	}
	text, err := e.host.ExportUnit()
	if err != nil {
		return "", Write{} // a table can be exported by other means
	}
	for _, line := range execStart(text) {
		ws := strings.Fields(line)
		i, j := slices.Index(ws, "export"), slices.Index(ws, name)
		if lacks := missing(ws, needed); i > 0 && j > i && (ws[j-1] == "-o" || ws[j-1] == "--output") && len(lacks) > 0 {
			changed := strings.Replace(line, " export ", " export "+strings.Join(lacks, " ")+" ", 1)
			return line, Write{
				"/etc/systemd/system/ehlogate-export.service.d/flags.conf, then \"systemctl daemon-reload && systemctl start ehlogate-export\"",
				[]string{"[Service]", "ExecStart=", "ExecStart=" + changed},
			}
		}
	}
	return "", Write{}
}

// execStart returns the commands of a service, from its unit and drop-ins in their order, as systemctl cat writes them.
func execStart(text string) (out []string) {
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

// exported is the policy that an export would take now.
func (e *exam) exported() (*export.Policy, error) {
	cfg := *e.gate.config
	cfg.Lists = slices.Clone(cfg.Lists)
	for i := range cfg.Lists {
		spec := &cfg.Lists[i].Spec
		spec.Patterns = slices.Clone(spec.Patterns)
		for j, p := range spec.Patterns {
			spec.Patterns[j] = e.host.List(p)
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
