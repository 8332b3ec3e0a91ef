package doctor

import (
	"fmt"
	"strings"

	"ehlogate/lists/listfile"
)

// Postfix is a configuration as postconf shows it.
type Postfix struct {
	Dir      string            // its configuration directory; empty: that of the system
	Main     map[string]string // "postconf -n": what main.cf sets, not expanded
	Services []*Service        // "postconf -M" and "postconf -P", in the order of master.cf
}

// Service is one line of master.cf.
type Service struct {
	Name, Type string
	Chroot     string            // y, n or -
	Command    string            // smtpd, postscreen, ...
	Params     map[string]string // its -o options, not expanded; of several the last counts
	Earlier    map[string]string // those before the last, joined
}

// String names a service as master.cf does.
func (s *Service) String() string { return s.Name + " " + s.Type }

// output is what one call of postconf wrote, and its name for messages.
type output struct {
	name string
	text string
}

// Columns of master.cf: service type private unpriv chroot wakeup maxproc command.
const masterColumns = 8

// parsePostfix understands the output of "postconf -n", "postconf -P" and
// "postconf -M". What it does not understand is an error with its place:
// nothing is judged on half a configuration.
func parsePostfix(n, p, m output) (*Postfix, error) {
	var problems listfile.Problems
	pf := &Postfix{Main: settings(n, &problems)}
	byName := make(map[string]*Service)
	for _, l := range logicalLines(m.text) {
		f := strings.Fields(l.text)
		if len(f) < masterColumns {
			problems.Add(l.problem(m.name, "this is no line of master.cf", `save the output of "postconf -M"`))
			continue
		}
		s := &Service{Name: f[0], Type: f[1], Chroot: f[4], Command: f[7], Params: make(map[string]string), Earlier: earlier(l.text)}
		pf.Services = append(pf.Services, s)
		byName[s.Name+"/"+s.Type] = s
	}
	for _, l := range logicalLines(p.text) {
		left, value, ok := strings.Cut(l.text, "=")
		left = strings.TrimSpace(left)
		slash := strings.LastIndexByte(left, '/')
		if !ok || slash < 0 {
			problems.Add(l.problem(p.name, "this is not SERVICE/TYPE/PARAMETER = VALUE", `save the output of "postconf -P"`))
			continue
		}
		s := byName[left[:slash]]
		if s == nil {
			problems.Add(l.problem(p.name, fmt.Sprintf("there is no service %q in %s", left[:slash], m.name), "save all outputs at the same time"))
			continue
		}
		s.Params[left[slash+1:]] = strings.TrimSpace(value)
	}
	return pf, problems.Err()
}

// earlier finds the options of a line of master.cf that a later option of the same name overrides.
func earlier(line string) map[string]string {
	last, out := make(map[string]string), make(map[string]string)
	ws := words(line)
	for i := 1; i < len(ws); i++ {
		if ws[i-1] != "-o" {
			continue
		}
		option := ws[i]
		if inner, n := balanced(option); n > 0 && option[0] == '{' {
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

// settings understands NAME = VALUE lines, as in main.cf and the files of tables.
func settings(o output, problems *listfile.Problems) map[string]string {
	m := make(map[string]string)
	for _, l := range logicalLines(o.text) {
		name, value, ok := strings.Cut(l.text, "=")
		name = strings.TrimSpace(name)
		if !ok || name == "" || strings.ContainsAny(name, " \t") {
			problems.Add(l.problem(o.name, "this is not NAME = VALUE", ""))
			continue
		}
		m[name] = strings.TrimSpace(value)
	}
	return m
}

// line is a logical line: with the lines that continue it.
type line struct {
	num  int
	text string
}

func (l line) problem(name, msg, hint string) listfile.Problem {
	return listfile.Problem{File: name, Line: l.num, Text: l.text, Msg: msg, Hint: hint}
}

// logicalLines joins lines as Postfix does: one that begins with white space
// continues the one before, and comments and empty lines in between do not
// matter. The warnings of a postconf whose output was saved with 2>&1 are not
// part of it.
func logicalLines(text string) []line {
	var lines []line
	num := 0
	for l := range strings.Lines(text) {
		num++
		trimmed := strings.TrimSpace(l)
		switch {
		case trimmed == "" || trimmed[0] == '#' || strings.HasPrefix(l, "postconf: warning: "):
		case (l[0] == ' ' || l[0] == '\t') && len(lines) > 0:
			lines[len(lines)-1].text += " " + trimmed
		default:
			lines = append(lines, line{num, trimmed})
		}
	}
	return lines
}
