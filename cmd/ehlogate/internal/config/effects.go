package config

import (
	"fmt"
	"slices"
	"strings"

	"ehlogate/lists"
)

// parseEffects reads what a list does: its action, the keywords that it hides, and for which services.
func (p *parser) parseEffects(r *rawList, path string, l *List) {
	for i, name := range r.Hide {
		at := fmt.Sprintf("%s.hide[%d]", path, i)
		k, err := lists.ParseKeyword(name)
		switch {
		case strings.EqualFold(name, "starttls"):
			p.addProblem(at, "starttls must not be in hide", `write action = "suppress" to hide STARTTLS`)
		case strings.ContainsAny(name, ", "):
			p.addProblem(at, err.Error(), `write each keyword as a string of its own, as in ["dsn", "chunking"]`)
		case err != nil:
			p.addProblem(at, err.Error(), "write keywords that Postfix can hide: "+strings.Join(lists.KeywordNames(), ", "))
		case l.Hide.Has(k):
			p.addProblem(at, fmt.Sprintf("duplicate EHLO keyword %q", name), "remove it")
		}
		l.Hide |= k
	}
	p.parseServices(r, path, l)
	switch {
	case r.Action == nil && len(r.Hide) == 0:
		p.addProblem(path, "missing key action", `write action = "offer", "suppress", "require" or "legacy", or hide = ["KEYWORD"] if the list is to hide other EHLO keywords only`)
	case r.Action == nil:
		l.Action = lists.NoAction
	case *r.Action == lists.NoAction.String():
		p.addProblem(path+".action", fmt.Sprintf("unknown action %q", *r.Action), `remove the key: a list without action hides the keywords of hide, and leaves STARTTLS to other lists`)
	case !l.Services.Has(lists.SMTP):
		p.addProblem(path+".action", "action has no effect on submission, where STARTTLS is always offered", `remove it, or write services = ["smtp", "submission"]`)
	}
	p.parseWord(r.Action, path+".action", &l.Action)
}

func (p *parser) parseServices(r *rawList, path string, l *List) {
	if r.Services != nil && len(r.Services) == 0 {
		p.addProblem(path+".services", "list is for no service", `write services = ["smtp"], ["submission"] or both, or remove the key for "smtp"`)
	}
	var services []lists.Service
	for i, name := range r.Services {
		var s lists.Service
		if err := s.UnmarshalText([]byte(name)); err != nil {
			p.addProblem(fmt.Sprintf("%s.services[%d]", path, i), fmt.Sprintf("unknown service %q", name), `write "smtp" (port 25) or "submission" (ports 587 and 465)`)
			continue
		}
		if slices.Contains(services, s) {
			p.addProblem(fmt.Sprintf("%s.services[%d]", path, i), fmt.Sprintf("duplicate service %q", name), "remove it")
		}
		services = append(services, s)
	}
	l.Services = lists.NewServices(services...)
	if l.Services.Has(lists.Submission) && len(r.Hide) == 0 {
		p.addProblem(path+".services", "list has no effect on submission, where only hide counts", `add hide = ["KEYWORD"], or remove "submission"`)
	}
}
