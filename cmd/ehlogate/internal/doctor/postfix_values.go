package doctor

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"ehlogate/lists/diag"
	"ehlogate/lists/lazyregexp"
)

// evaluate has postconf say what all settings are, for main.cf alone and for each service that a check is about.
func (pf *Postfix) evaluate(ctx context.Context, dir string, elsewhere map[string]string) error {
	main := new(Service)
	if err := pf.evaluateService(ctx, dir, main, elsewhere); err != nil {
		return err
	}
	pf.values = main.values
	for _, s := range pf.Services {
		switch {
		case s.Command == "proxymap" && len(s.Params) == 0:
			s.values = pf.values
		case s.Command == "smtpd" || s.Command == "postscreen" || s.Command == "proxymap":
			if err := pf.evaluateService(ctx, dir, s, elsewhere); err != nil {
				return fmt.Errorf("settings of %s in master.cf: %w", s, err)
			}
		}
	}
	return nil
}

// Postfix expands any parameter that another one names. So entries of lists become parameters for one run of postconf.
const (
	entryName    = "ehlogate_doctor_entry_"
	entryCarrier = "helpful_warnings" // names them all; no check needs it
)

// evaluateService runs postconf with the options of a service, as Postfix would run the service.
func (pf *Postfix) evaluateService(ctx context.Context, dir string, s *Service, elsewhere map[string]string) error {
	options := map[string]string{entryCarrier: ""}
	maps.Copy(options, elsewhere)
	for name, value := range pf.Main { // postconf takes no other value of $service_name
		if s.nameService(value) != value {
			options[name] = value
		}
	}
	maps.Copy(options, s.Params)
	entries := pf.writtenEntries(s)
	for i, entry := range entries {
		options[fmt.Sprint(entryName, i)] = entry
		options[entryCarrier] += fmt.Sprintf("$%s%d ", entryName, i)
	}
	args := []string{"-x"}
	for name, value := range options {
		args = append(args, "-o", name+"="+s.nameService(value))
	}
	text, err := runPostconf(ctx, dir, args...)
	if err != nil {
		if text, err = pf.expandByName(ctx, dir, s, options, args, err); err != nil {
			return err
		}
	}
	var problems diag.Problems
	s.values, s.expanded = parseSettings("postconf -x", text, &problems), make(map[string]string)
	for i, entry := range entries {
		s.expanded[entry] = s.values[fmt.Sprint(entryName, i)]
	}
	return problems.Err()
}

// tableName matches the names of tables, as in memcache:name, which are the prefix of their parameters in main.cf.
var tableName = lazyregexp.New(`:([\w-]+)`)

// expandByName runs postconf for the settings of Postfix, and then for each other parameter, after a run for all of
// them failed with err. One bad parameter that Postfix never reads fails that run, and does no other harm. If Postfix
// reads it, expandByName returns err.
func (pf *Postfix) expandByName(ctx context.Context, dir string, s *Service, options map[string]string, args []string, err error) (string, error) {
	text, failed := runPostconf(ctx, dir, append(slices.Clone(args), "-C", "builtin,service")...)
	if failed != nil {
		return "", err
	}
	known, names := parseSettings("postconf -x", text, new(diag.Problems)), maps.Clone(pf.Main)
	maps.Copy(names, options)
	var bad []string
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if _, ok := known[name]; ok {
			continue
		}
		value, failed := runPostconf(ctx, dir, append(slices.Clone(args), name)...)
		if failed != nil {
			bad = append(bad, name)
			pf.unexpanded = append(pf.unexpanded, unexpanded{view{pf, s}.origin(name), lastWarning(failed.Error())})
		}
		text += value
	}
	for _, table := range tableName.FindAllStringSubmatch(text, -1) {
		if slices.ContainsFunc(bad, func(name string) bool { return strings.HasPrefix(name, table[1]+"_") }) {
			return "", err
		}
	}
	return text, nil
}

func lastWarning(text string) string {
	if m := postconfWarning.FindAllStringSubmatch(text, -1); len(m) > 0 {
		return m[len(m)-1][1]
	}
	return text
}

var postconfWarning = lazyregexp.New(`(?m)^\S*postconf: warning: (.*)$`)

func (e *exam) addUnexpanded() {
	for _, u := range e.pf.unexpanded {
		e.add(Note, "not-examined", u.at, fmt.Sprintf("Postfix cannot expand %s: %s", u.at.Parameter, u.reason),
			"No setting of Postfix refers to it. A service that did would not start. Correct or remove it.")
	}
}

var ownName = lazyregexp.New(`\$(\{(service|process)_name\}|\((service|process)_name\)|(service|process)_name\b)`)

// nameService replaces the references to the two names that each service has for itself.
func (s *Service) nameService(value string) string {
	return ownName.ReplaceAllStringFunc(value, func(reference string) string {
		if strings.Contains(reference, "service_name") {
			return s.Name
		}
		return s.Command
	})
}

// writtenEntries returns the entries of the list settings of a service, as written, that refer to other settings.
func (pf *Postfix) writtenEntries(s *Service) (out []string) {
	var collect func(value string)
	collect = func(value string) {
		for _, entry := range splitEntries(value) {
			if inner, ok := insideUnion(entry); ok {
				collect(inner)
			} else if strings.Contains(entry, "$") && !slices.Contains(out, entry) && isWhole(entry) {
				out = append(out, entry)
			}
		}
	}
	for _, param := range append(listSettings(), splitList(pf.Main[restrictionClasses])...) {
		for _, from := range []map[string]string{pf.Main, s.Params, s.Earlier} {
			collect(from[param])
		}
	}
	return out
}

// isWhole reports whether all that an entry opens it closes. Of another, Postfix would make a fatal error.
func isWhole(entry string) bool {
	return strings.Count(entry, "{") == strings.Count(entry, "}") && strings.Count(entry, "(") == strings.Count(entry, ")")
}
