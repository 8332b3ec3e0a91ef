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

// inStep looks whether a table that ehlogate exported is what it would export now.
func (e *exam) inStep(t table, name string, data []byte, at Place) {
	flags, ok := export.Flags(data)
	if !ok || t.kind != "cidr" {
		return // the operator's own
	}
	command := "ehlogate export"
	if e.gate.File != config.DefaultFile {
		command += " -c " + e.gate.File
	}
	command = strings.Join(append([]string{command, "--format postfix-cidr"}, flags...), " ")
	write := Write{"a root shell", []string{command + " -o " + name + ` --if-changed --then "postfix reload"`}}
	first, err := e.difference(data, flags)
	switch {
	case err != nil && e.host.Saved:
		e.unread(at, "what "+name+" was exported from", err)
	case err != nil:
		e.add(Finding{
			ID: "table-stays-behind", Severity: Warning, Place: at,
			What:  fmt.Sprintf("%s cannot be brought in step with the lists", t.full()),
			Why:   fmt.Sprintf("It stays as it is, whatever is edited, since an export fails: %v.", err),
			Write: write,
		})
	case first != "":
		e.add(Finding{
			ID: "table-behind", Severity: Warning, Place: at,
			What: fmt.Sprintf("%s was exported from other lists than those of now", t.full()),
			Why: fmt.Sprintf("Where it decides, it decides by what the lists said then; the first line that differs is %q. "+
				"ehlogate-export.timer keeps /etc/postfix/ehlogate.cidr in step.", first),
			Write: write,
		})
	}
}

// difference returns the first line that an exported table and one that is exported now do not share.
func (e *exam) difference(table []byte, flags []string) (string, error) {
	cfg := *e.gate.config
	cfg.Lists = slices.Clone(cfg.Lists)
	for i := range cfg.Lists {
		spec := &cfg.Lists[i].Spec
		spec.Patterns = slices.Clone(spec.Patterns)
		for j, p := range spec.Patterns {
			spec.Patterns[j] = e.host.List(p)
		}
		if e.host.Saved {
			spec.StaleAfter = 0 // a copy is younger
		}
	}
	p, errs := export.Load(&cfg, time.Now())
	if len(errs) > 0 {
		return "", firstLine(errs[0])
	}
	return p.Difference(context.Background(), table, flags)
}
