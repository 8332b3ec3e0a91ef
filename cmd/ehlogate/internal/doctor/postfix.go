package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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
