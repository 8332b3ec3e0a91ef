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
	lacks := without(needed, flags)
	command := e.command(slices.Concat([]string{"export", "--format", format}, flags, lacks, []string{"-o", name})...)
	keep := "A timer with \"ehlogate export --if-changed\" keeps the table up to date."
	var reload Write
	if format == cidrFormat {
		command += ` --if-changed --then "postfix reload"`
		keep = "ehlogate-export.timer keeps /etc/postfix/ehlogate.cidr up to date."
		reload = Write{shell, []string{command}}
	}
	e.checkReloaded(name, at, reload)
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
	if len(lacks) > 0 {
		e.add(Warning, "table-stays-behind", at, name+" cannot be updated with the flags that it was exported with",
			"The table stays as it is, whatever you edit: the export needs "+strings.Join(lacks, " and ")+
				", because the lists or the default contain what no table can express. ehlogate-export.service needs the same flags.", write)
		return true
	}
	switch first, err := p.FirstDifference(context.Background(), data); {
	case err != nil:
		e.addUnread(at, "what "+name+" should be", err)
	case first != "":
		e.add(Warning, "table-behind", at, name+" is out of date: the lists have changed since it was exported",
			fmt.Sprintf("Where the table decides, it decides by the old lists. The first line that differs is %q. %s", first, keep), write)
	}
	return true
}

// checkReloaded looks for a table whose --then has failed: export gives such a table the time 1970-01-01.
func (e *exam) checkReloaded(name string, at Place, write Write) {
	info, err := os.Stat(name)
	if e.host.saved != "" || err != nil || !info.ModTime().Equal(time.Unix(0, 0)) {
		return
	}
	e.add(Warning, "table-not-reloaded", at, name+" is new, but the command after its export (--then) has failed",
		"The mail server may still use the old table. The next export with --then runs the command again; journalctl -u ehlogate-export says why it failed.", write)
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
