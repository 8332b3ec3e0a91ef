package doctor

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"ehlogate/cmd/ehlogate/internal/export"
)

const (
	cidrFormat   = "postfix-cidr"
	accessFormat = "sendmail-access"
)

// checkExported looks whether a table is what ehlogate would export now. refresh is the command after an export; "" if there
// is none. ok is false if the table was not exported in this format.
func (e *exam) checkExported(format, name string, data []byte, at Place, refresh string) (ok bool) {
	made, flags, ok := export.ParseHeader(data)
	if !ok || made != format {
		return false // the operator's own
	}
	p, err := e.loadPolicy()
	var needed []string
	if err == nil {
		needed, err = p.NeededFlags()
	}
	lacks := without(needed, flags)
	command := e.exportAgain(format, name, flags, lacks, refresh)
	keep := "A timer with \"ehlogate export --if-changed\" keeps the table up to date."
	e.checkKept(name, at)
	var repeat Write
	if refresh != "" {
		repeat = Write{shell, []string{command}}
	}
	if export.IsForPostfix(format) {
		keep = "ehlogate-export.path and ehlogate-export.timer keep a table up to date: examples/postfix-static has the steps."
	}
	e.checkReloaded(name, at, repeat)
	switch {
	case err != nil && e.host.saved != "":
		e.addUnread(at, "what "+name+" was exported from", err)
		return true
	case err != nil:
		e.add(Warning, "table-stays-behind", at, name+" cannot be updated: the export fails", fmt.Sprintf("The table stays as it is, whatever you edit: %v.", err),
			Write{shell, []string{e.command("check") + " && " + command}})
		return true
	}
	write := Write{shell, []string{command}}
	why, dropIn := e.adviseExportUnit(name, needed)
	if len(lacks) > 0 {
		e.add(Warning, "table-stays-behind", at, name+" cannot be updated with the flags that it was exported with",
			"The table stays as it is, whatever you edit: the export needs "+strings.Join(lacks, " and ")+
				", because the lists or the default contain what no table can express."+why, write, dropIn)
		return true
	}
	if why != "" {
		e.add(Warning, "export-unit-fails", at, name+" will not follow the lists", strings.TrimSpace(why), dropIn)
	}
	switch first, err := p.FirstDifference(context.Background(), data); {
	case err != nil:
		e.add(Warning, "table-stays-behind", at, name+" cannot be updated: the export fails", fmt.Sprintf("The table stays as it is, whatever you edit: %v.", err), write)
	case first != "":
		e.add(Warning, "table-behind", at, name+" is out of date: the lists have changed since it was exported"+e.exportTime(name),
			fmt.Sprintf("Where the table decides, it decides by the old lists. The first line that differs is %q. %s", first, keep), write)
	default:
		e.judgeInStep(name)
	}
	return true
}

// exportAgain returns the command that exports a table as it was exported, with the flags that it lacks, and then runs refresh,
// unless that is empty.
func (e *exam) exportAgain(format, name string, flags, lacks []string, refresh string) string {
	arguments := slices.Concat([]string{"export", "--format", format}, flags, lacks, []string{"-o", name})
	if p, ok := e.pairs[name]; ok {
		arguments, refresh = slices.Concat(p.exportArguments(), lacks), p.refresh
	}
	if refresh != "" {
		arguments = append(arguments, fmt.Sprintf("--if-changed --then %q", refresh))
	}
	return e.command(arguments...)
}

// judgeInStep adds to the report, once, that a table is as the lists are.
func (e *exam) judgeInStep(name string) {
	text := "; " + name + " decides as the lists on disk do" + e.exportTime(name)
	if e.Judged != "" && !strings.Contains(e.Judged, text) {
		e.Judged += text
	}
}

// exportTime returns when a table was exported, in parentheses; "" if that is unknown.
func (e *exam) exportTime(name string) string {
	info, err := os.Stat(name)
	if e.host.saved != "" || err != nil || info.ModTime().Equal(pendingTime) {
		return ""
	}
	return " (exported " + info.ModTime().Format(time.DateTime) + ")"
}

// pendingTime is the time of a table until its --then has succeeded: see ehlogate(8), export.
var pendingTime = time.Unix(0, 0)

// checkReloaded looks for a table whose --then has failed: export gives such a table the time 1970-01-01.
func (e *exam) checkReloaded(name string, at Place, write Write) {
	info, err := os.Stat(name)
	if e.host.saved != "" || err != nil || !info.ModTime().Equal(pendingTime) {
		return
	}
	e.add(Warning, "table-not-reloaded", at, name+" is new, but the command after its export (--then) has failed",
		"The mail server may still use the old table. The next export with --then runs the command again; journalctl -u ehlogate-export says why it failed.", write)
}

// checkKept looks whether the timer of the service that exports a table is active. A table may be exported by other means.
func (e *exam) checkKept(name string, at Place) {
	if e.host.ExportTimer == nil || e.exportCommand(name) == "" {
		return
	}
	if state := e.host.ExportTimer(); state == "inactive" || state == "failed" {
		e.add(Warning, "table-not-kept", at, "ehlogate-export.timer is not active: "+name+" does not follow the lists",
			"Edits, feeds and entries that expire reach the table only when it is exported again. The timer does that once a minute, and ehlogate-export.path at each edit.",
			Write{shell, []string{"systemctl enable --now ehlogate-export.path ehlogate-export.timer"}})
	}
}

// exportCommand returns the command of ehlogate-export.service that exports a table; "" if there is none.
func (e *exam) exportCommand(name string) string {
	text, _ := e.host.ExportUnit()
	for _, line := range execStarts(text) {
		ws := strings.Fields(line)
		if i, j := slices.Index(ws, "export"), slices.Index(ws, name); i > 0 && j > i && slices.Contains([]string{"-o", "--output", "--networks"}, ws[j-1]) {
			return line
		}
	}
	return ""
}

// adviseExportUnit returns why the service that exports a table fails, and the drop-in to write, if its command lacks
// flags. A table may be exported by other means.
func (e *exam) adviseExportUnit(name string, needed []string) (why string, dropIn Write) {
	line := e.exportCommand(name)
	lacks := without(needed, strings.Fields(line))
	if line == "" || len(lacks) == 0 {
		return "", Write{}
	}
	changed := strings.Replace(line, " export ", " export "+strings.Join(lacks, " ")+" ", 1)
	return " ehlogate-export.service fails at each run: it lacks " + strings.Join(lacks, " and ") + ".", Write{
		"/etc/systemd/system/ehlogate-export.service.d/flags.conf, then \"systemctl daemon-reload && systemctl start ehlogate-export\"",
		[]string{"[Service]", "ExecStart=", "ExecStart=" + changed},
	}
}

// execStarts returns the commands of a service, from its unit and drop-ins in their order, as systemctl cat writes
// them.
func execStarts(text string) (out []string) {
	for l := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		if command, ok := strings.CutPrefix(strings.TrimSpace(l), "ExecStart="); ok && command == "" {
			out = nil // the commands before do not count
		} else if ok {
			out = append(out, strings.Join(strings.Fields(command), " "))
		}
	}
	return out
}

// loadPolicy returns the policy of which an export would make a table now.
func (e *exam) loadPolicy() (*export.Policy, error) {
	cfg := *e.config
	cfg.Lists = slices.Clone(cfg.Lists)
	for i := range cfg.Lists {
		cfg.Lists[i].Spec = e.host.localSpec(cfg.Lists[i].Spec)
		if e.host.saved != "" {
			cfg.Lists[i].Spec.ExpireAfter = 0 // a copy is younger
		}
	}
	p, errs := export.Load(&cfg, time.Now())
	if len(errs) > 0 {
		return nil, firstLine(errs[0])
	}
	return p, nil
}
