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
	made, flags, ok := export.Made(data)
	if !ok || made != format {
		return false // the operator's own
	}
	command := "ehlogate export"
	if e.gate.File != config.DefaultFile {
		command += " -c " + e.gate.File
	}
	command = strings.Join(append([]string{command, "--format", format}, flags...), " ") + " -o " + name
	keep := "A timer with \"ehlogate export --if-changed\" keeps it in step."
	if format == "postfix-cidr" {
		command += ` --if-changed --then "postfix reload"`
		keep = "ehlogate-export.timer keeps /etc/postfix/ehlogate.cidr in step."
	}
	write := Write{"a root shell", []string{command}}
	first, err := e.difference(data)
	switch {
	case err != nil && e.host.Saved:
		e.unread(at, "what "+name+" was exported from", err)
	case err != nil:
		e.add(Finding{
			ID: "table-stays-behind", Severity: Warning, Place: at,
			What:  fmt.Sprintf("%s cannot be brought in step with the lists", name),
			Why:   fmt.Sprintf("It stays as it is, whatever is edited, since an export fails: %v.", err),
			Write: write,
		})
	case first != "":
		e.add(Finding{
			ID: "table-behind", Severity: Warning, Place: at,
			What:  fmt.Sprintf("%s was exported from other lists than those of now", name),
			Why:   fmt.Sprintf("Where it decides, it decides by what the lists said then; the first line that differs is %q. %s", first, keep),
			Write: write,
		})
	}
	return true
}

// difference returns the first line that an exported table and one that is exported now do not share.
func (e *exam) difference(table []byte) (string, error) {
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
	return p.Difference(context.Background(), table)
}
