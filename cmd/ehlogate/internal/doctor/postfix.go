package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"ehlogate/lists/diag"
)

const (
	smtpdMaps          = "smtpd_discard_ehlo_keyword_address_maps"
	smtpdKeywords      = "smtpd_discard_ehlo_keywords"
	smtpdFilter        = "smtpd_command_filter"
	smtpdSender        = "smtpd_sender_restrictions"
	smtpdMilters       = "smtpd_milters"
	smtpdMilterMaps    = "smtpd_milter_maps"
	screenMaps         = "postscreen_discard_ehlo_keyword_address_maps"
	screenFilter       = "postscreen_command_filter"
	proxyReadMaps      = "proxy_read_maps"
	queueDirectory     = "queue_directory"
	configDirectory    = "config_directory"
	restrictionClasses = "smtpd_restriction_classes"
	inetProtocols      = "inet_protocols"
)

// defaultFile stands for the file of a setting that is not set.
const defaultFile = "default"

// restrictions are the lists of access restrictions, in the order of a session.
var restrictions = []string{"smtpd_client_restrictions", "smtpd_helo_restrictions", smtpdSender, "smtpd_relay_restrictions",
	"smtpd_recipient_restrictions", "smtpd_data_restrictions", "smtpd_end_of_data_restrictions", "smtpd_etrn_restrictions"}

// Postfix is one snapshot of the settings of a Postfix. What they are is always the word of its own postconf.
type Postfix struct {
	Dir      string            // its configuration directory; empty: that of the system
	Main     map[string]string // what main.cf sets ("postconf -n"), not expanded
	Services []*Service        // in the order of master.cf

	configDir  string            // of what was read: Dir, or the copies
	values     map[string]string // the settings of a service without options of its own, see Service.values
	foreign    string            // how the Postfix of saved settings may differ from the installed one
	unexpanded []unexpanded      // parameters that no setting of Postfix refers to
}

// unexpanded is a parameter that Postfix cannot expand, as one that refers to itself.
type unexpanded struct {
	at     Place
	reason string // as postconf says it
}

// Service is one line of master.cf.
type Service struct {
	Name, Type string
	Chroot     string            // y, n or -
	Command    string            // smtpd, postscreen, ...
	Params     map[string]string // its -o options, not expanded; of several the last counts
	Earlier    map[string]string // those before the last, joined

	values   map[string]string // all settings that the service has: expanded, with the defaults ("postconf -x")
	expanded map[string]string // entries of list settings as they are written, and what they expand to
}

// String returns the name that master.cf has for a service.
func (s *Service) String() string { return s.Name + " " + s.Type }

// LivePostfix reads the settings of a Postfix on this machine. dir is its configuration directory; empty: that of the
// system.
func LivePostfix(ctx context.Context, dir string) (*Postfix, error) {
	if dir != "" { // Postfix runs in its queue directory
		abs, err := filepath.Abs(dir)
		if err != nil {
			return nil, err
		}
		dir = abs
	}
	pf, err := readPostfix(ctx, dir)
	if err != nil {
		return nil, err
	}
	pf.Dir, pf.configDir = dir, dir
	return pf, pf.evaluate(ctx, dir, nil)
}

// SavedPostfix reads copies of main.cf and master.cf in dir.
func SavedPostfix(ctx context.Context, dir string) (*Postfix, error) {
	for _, name := range []string{"main.cf", "master.cf"} {
		if _, err := os.Stat(filepath.Join(dir, name)); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s is missing in %s: save both files with \"postconf -n >%[2]s/main.cf\" and \"postconf -M >%[2]s/master.cf\"", name, dir)
		}
	}
	pf, err := readPostfix(ctx, dir)
	if err != nil {
		return nil, err
	}
	pf.configDir = dir
	installed, err := runPostconf(ctx, dir, "-d", "config_directory", "mail_version")
	if err != nil {
		return nil, err
	}
	here := parseSettings("postconf -d", installed, new(diag.Problems))
	elsewhere := map[string]string{} // what postconf would say of this machine, not of the other
	// Postfix 3.7 prints it as if main.cf set it, 3.10 does not.
	if value, set := pf.Main["config_directory"]; !set || value == dir {
		delete(pf.Main, "config_directory")
		elsewhere["config_directory"] = here["config_directory"]
	}
	if _, set := pf.Main["myhostname"]; !set {
		elsewhere["myhostname"] = ""
		if _, set := pf.Main["mydomain"]; !set {
			elsewhere["mydomain"] = "localdomain" // what Postfix takes for an unknown one; 3.11 cannot expand an empty one
		}
	}
	if version := pf.Main["mail_version"]; version != here["mail_version"] {
		which := "of version " + version
		if version == "" {
			which = "of an unknown version, which is not in the copies"
		}
		pf.foreign = fmt.Sprintf("the copies are those of a Postfix %s, and read by Postfix %s", which, here["mail_version"])
	}
	return pf, pf.evaluate(ctx, dir, elsewhere)
}

func runPostconf(ctx context.Context, dir string, args ...string) (string, error) {
	if dir != "" {
		args = append([]string{"-c", dir}, args...)
	}
	return runProgram(ctx, []string{"postconf"}, args...)
}

func readPostfix(ctx context.Context, dir string) (*Postfix, error) {
	var texts [3]string
	for i, flag := range []string{"-n", "-P", "-M"} {
		var err error
		if texts[i], err = runPostconf(ctx, dir, flag); err != nil {
			return nil, err
		}
	}
	return parsePostfix(texts[0], texts[1], texts[2])
}

// Columns of master.cf: service type private unpriv chroot wakeup maxproc command.
const masterColumns = 8

// parsePostfix understands the output of "postconf -n", "postconf -P" and "postconf -M". What it does not understand
// is an error with its place: nothing is judged on half a configuration.
func parsePostfix(n, p, m string) (*Postfix, error) {
	var problems diag.Problems
	pf := &Postfix{Main: parseSettings("postconf -n", n, &problems)}
	byName := make(map[string]*Service)
	for _, l := range logicalLines(m) {
		f := strings.Fields(l.text)
		if len(f) < masterColumns {
			problems.Add(l.problem("postconf -M", "a line of master.cf has too few columns"))
			continue
		}
		s := &Service{Name: f[0], Type: f[1], Chroot: f[4], Command: f[7], Params: make(map[string]string), Earlier: overriddenOptions(l.text)}
		pf.Services = append(pf.Services, s)
		byName[s.Name+"/"+s.Type] = s
	}
	for name, value := range parseSettings("postconf -P", p, &problems) {
		slash := strings.LastIndexByte(name, '/')
		if s := byName[name[:max(slash, 0)]]; s != nil {
			s.Params[name[slash+1:]] = value
		} else {
			problems.Add(diag.Problem{File: "postconf -P", Line: 1, Text: name, Msg: "\"postconf -M\" has no such service"})
		}
	}
	return pf, problems.Err()
}

// overriddenOptions returns the options of a line of master.cf that a later option of the same name overrides.
func overriddenOptions(line string) map[string]string {
	last, out := make(map[string]string), make(map[string]string)
	words := splitList(line)
	for i := 1; i < len(words); i++ {
		if words[i-1] != "-o" {
			continue
		}
		option := words[i]
		if inner, n := balanced(option); n > 0 {
			option = inner
		}
		name, value, _ := strings.Cut(option, "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if before, twice := last[name]; twice {
			out[name] = strings.TrimPrefix(out[name]+", "+before, ", ")
		}
		last[name] = value
	}
	return out
}

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
var tableName = regexp.MustCompile(`:([\w-]+)`)

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

// lastWarning returns the last warning in what postconf wrote before it failed; all of it if there is none.
func lastWarning(text string) string {
	if m := postconfWarning.FindAllStringSubmatch(text, -1); len(m) > 0 {
		return m[len(m)-1][1]
	}
	return text
}

var postconfWarning = regexp.MustCompile(`(?m)^\S*postconf: warning: (.*)$`)

// addUnexpanded adds a note about each parameter that Postfix cannot expand.
func (e *exam) addUnexpanded() {
	for _, u := range e.pf.unexpanded {
		e.add(Note, "not-examined", u.at, fmt.Sprintf("Postfix cannot expand %s: %s", u.at.Parameter, u.reason),
			"No setting of Postfix refers to it. A service that did would not start. Correct or remove it.")
	}
}

var ownName = regexp.MustCompile(`\$(\{(service|process)_name\}|\((service|process)_name\)|(service|process)_name\b)`)

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
