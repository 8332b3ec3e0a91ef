package mtatest_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/cmd/ehlogate/internal/test/netns"
)

// operator is a Postfix before ehlogate comes: with settings of its own.
type operator struct {
	*mtatest.Postfix
	network *netns.Namespace
	dir     string

	settings map[string]string // by parameter
	options  bool              // they are -o lines of the smtpd on port 25, and not in main.cf
	last     bool              // what is pasted stands below these
	screen   bool              // postscreen is in front
	begin    string            // what the operator begins with: "examples", "doctor", or "old", the examples as they once were
	hooks    []string          // of ehlogate, beside the map: "policy", "milter", "filter"
}

// ownSettings are what an operator may have, in the syntax of main.cf. Each is seen on the wire; see check.
var ownSettings = map[string]string{
	"smtpd_helo_restrictions":                 "reject_non_fqdn_helo_hostname",
	"smtpd_sender_restrictions":               "check_sender_access inline:{ { bad@client.example = REJECT } }",
	"smtpd_recipient_restrictions":            "check_recipient_access inline:{ { refused@mta.test = REJECT } }, permit_mynetworks",
	"smtpd_milters":                           "{ unix:own-milter, default_action=tempfail }",
	"smtpd_command_filter":                    "regexp:{ { /^XYZZY$$/ NOOP } }",
	"smtpd_discard_ehlo_keyword_address_maps": "cidr:{ { " + pastedDenied + " dsn } { " + pastedOwn + " dsn } }",
	"smtpd_discard_ehlo_keywords":             "chunking",
}

// newOperator makes up the operator number i; the first has everything.
func newOperator(i int) *operator {
	dice := rand.New(rand.NewPCG(14, uint64(i)))
	o := &operator{settings: map[string]string{}, begin: []string{"examples", "doctor", "old"}[i%3]}
	for _, name := range []string{"smtpd_helo_restrictions", "smtpd_sender_restrictions", "smtpd_recipient_restrictions", "smtpd_milters",
		"smtpd_command_filter", "smtpd_discard_ehlo_keyword_address_maps", "smtpd_discard_ehlo_keywords"} {
		if i < 3 || dice.IntN(2) == 0 {
			o.settings[name] = ownSettings[name]
		}
	}
	o.options, o.screen = i >= 3 && dice.IntN(3) == 0, dice.IntN(3) == 0
	o.last = i%2 == 0
	for _, hook := range []string{"policy", "milter", "filter"} {
		if i < 3 || dice.IntN(2) == 0 {
			o.hooks = append(o.hooks, hook)
		}
	}
	return o
}

// write writes the configuration of an operator with a submission service, too.
func (o *operator) write(t *testing.T, i int) {
	t.Helper()
	dice := rand.New(rand.NewPCG(41, uint64(i)))
	jail := []string{"y", "n", "-"}[dice.IntN(3)]
	main := fmt.Sprintf("compatibility_level = %s\nsmtpd_delay_reject = %s\npostscreen_access_list = permit_mynetworks\nin_flow_delay = 0\n",
		[]string{"0", "1", "2", "3.6"}[dice.IntN(4)], []string{"yes", "no"}[dice.IntN(2)])
	lines := ""
	for name, value := range o.settings {
		if o.options {
			lines += fmt.Sprintf("  -o { %s = %s }\n", name, value)
		} else {
			main += name + " = " + value + "\n"
		}
	}
	master := "smtp inet n - " + jail + " - - smtpd\n" + lines
	if o.screen {
		master = "smtp inet n - n - 1 postscreen\nsmtpd pass - - " + jail + " - - smtpd\n" + lines
	}
	p, err := mtatest.NewPostfix(mtatest.PostfixConfig{
		Dir: o.dir, Network: o.network, Main: main,
		Master: master + "submission inet n - " + jail + " - - smtpd\n",
	})
	if err != nil {
		t.Fatal(err)
	}
	o.Postfix = p
	for _, name := range []string{"ehlogate.cf", "ehlogate-helo.cf", "ehlogate-helo.regexp"} {
		o.editFile(t, name, func(string) string { return example(t, "postfix/"+name) })
	}
}

// editFile edits a file in Postfix's configuration directory.
func (o *operator) editFile(t *testing.T, name string, edit func(text string) string) {
	t.Helper()
	path := filepath.Join(o.Config, name)
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(edit(string(text))), 0o644); err != nil {
		t.Fatal(err)
	}
}

// backdate has Postfix's programs not wait because a file may still be written.
func (o *operator) backdate(t *testing.T) {
	t.Helper()
	for _, name := range []string{"main.cf", "master.cf"} {
		past := time.Now().Add(-time.Minute)
		if err := os.Chtimes(filepath.Join(o.Config, name), past, past); err != nil {
			t.Fatal(err)
		}
	}
}

// runCommand runs a command that names no configuration directory, on that of the operator, and returns what it prints.
func (o *operator) runCommand(t *testing.T, command string) string {
	t.Helper()
	o.backdate(t)
	cmd := exec.CommandContext(soon(t), "sh", "-ec", command)
	cmd.Env = append(os.Environ(), "MAIL_CONFIG="+o.Config)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
	return string(out)
}

// complaints is what Postfix's own tools have against the configuration.
func (o *operator) complaints(t *testing.T) string {
	t.Helper()
	// At first "postfix check" of Debian 13 also says which files it copies into the jail.
	return o.runCommand(t, "postfix check >/dev/null 2>&1 || :; postconf >/dev/null; postconf -n >/dev/null; postfix check")
}

// service is the line of master.cf to which ehlogate's belong.
func (o *operator) service() string {
	if o.screen {
		return "smtpd pass"
	}
	return "smtp inet"
}

// below puts lines below the line of a service in master.cf, or below its options.
func (o *operator) below(t *testing.T, service, lines string) {
	t.Helper()
	o.editFile(t, "master.cf", func(text string) string {
		options := ""
		if o.last {
			options = `(?: .*\n)*`
		}
		re := regexp.MustCompile(`(?m)^` + service + ` .*\n` + options)
		if n := len(re.FindAllString(text, -1)); n != 1 {
			t.Fatalf("%d lines of %s in\n%s", n, service, text)
		}
		return re.ReplaceAllStringFunc(text, func(line string) string { return line + lines })
	})
}

// paste does what the comments in examples/postfix/master.cf say, word for word.
func (o *operator) paste(t *testing.T) {
	t.Helper()
	text := example(t, "postfix/master.cf")
	for _, hook := range o.hooks {
		param := map[string]string{"policy": "ehlogate_policy", "milter": "ehlogate_milter", "filter": "smtpd_command_filter"}[hook]
		text = regexp.MustCompile(`(?m)^#(  -o `+param+`=)`).ReplaceAllString(text, "$1")
		if hook == "filter" {
			continue
		}
		command := regexp.MustCompile(`(?m)^#   (postconf ` + param + `=.*)$`).FindStringSubmatch(text)
		if command == nil {
			t.Fatalf("no command for %s in\n%s", param, text)
		}
		o.runCommand(t, command[1])
	}
	o.below(t, o.service(), text)
}

// pasteOld does what the examples once said: each line replaces what the operator has.
func (o *operator) pasteOld(t *testing.T) {
	t.Helper()
	lines, main := "  -o smtpd_discard_ehlo_keyword_address_maps=memcache:$config_directory/ehlogate.cf\n", ""
	for _, hook := range o.hooks {
		param := map[string]string{"policy": "smtpd_helo_restrictions", "milter": "smtpd_milters", "filter": "smtpd_command_filter"}[hook]
		lines += fmt.Sprintf("  -o %s=$ehlogate_%s\n", param, hook)
		main += fmt.Sprintf("ehlogate_%s = %s\n", hook, map[string]string{
			"policy": "check_policy_service { unix:ehlogate/policy, timeout=2s, try_limit=1, default_action=DUNNO }",
			"milter": "{ unix:ehlogate/milter, default_action=accept, connect_timeout=2s, command_timeout=2s }",
			"filter": "pipemap:{regexp:$config_directory/ehlogate-helo.regexp, memcache:$config_directory/ehlogate-helo.cf}",
		}[hook])
	}
	o.editFile(t, "main.cf", func(text string) string { return text + main })
	o.below(t, o.service(), lines)
}

// advice is what doctor prints.
type advice struct {
	ID        string
	Parameter string
	What      string
	Write     written
	Also      []written
}

type written struct {
	In    string
	Lines []string
}

// follow does what doctor says, until it has nothing more to say.
func (o *operator) follow(t *testing.T, g *daemon) (all []string) {
	t.Helper()
	var report struct{ Findings []advice }
	for range 5 {
		o.backdate(t)
		var out []byte
		err := o.network.Do(func() (err error) {
			out, err = exec.CommandContext(soon(t), g.Path, "doctor", "--json", "-c", filepath.Join(g.dir, "ehlogate.toml"), "--postfix-config", o.Config).Output()
			return err
		})
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		report.Findings = nil
		if err := json.Unmarshal(out, &report); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if len(report.Findings) == 0 {
			return all
		}
		for _, f := range report.Findings {
			all = append(all, f.ID)
			for _, w := range append([]written{f.Write}, f.Also...) {
				o.apply(t, w)
			}
		}
	}
	t.Errorf("doctor does not come to an end: %+v", report.Findings)
	return all
}

// apply writes lines where doctor says.
func (o *operator) apply(t *testing.T, w written) {
	t.Helper()
	if w.In == "a root shell" {
		for _, line := range w.Lines {
			if out := o.runCommand(t, line); out != "" {
				t.Errorf("%s: %s", line, out)
			}
		}
		return
	}
	m := regexp.MustCompile(`^master\.cf, below (\S+ \S+?), in place of each (-o \S+)$`).FindStringSubmatch(w.In)
	if m == nil {
		t.Fatalf("where is that? %+v", w)
	}
	gone := regexp.MustCompile(`-o (\w+)`).FindAllStringSubmatch(m[2], -1)
	o.editFile(t, "master.cf", func(text string) string {
		at := regexp.MustCompile(`(?m)^` + strings.Replace(m[1], " ", " +", 1) + ` .*\n`).FindStringIndex(text) // postconf aligns the columns
		if at == nil {
			t.Fatalf("no service %s in\n%s", m[1], text)
		}
		head, options, rest := text[:at[1]], text[at[1]:], ""
		if next := regexp.MustCompile(`(?m)^[a-z0-9]`).FindStringIndex(options); next != nil {
			options, rest = options[:next[0]], options[next[0]:]
		}
		for _, g := range gone {
			options = regexp.MustCompile(`(?m)^ +-o (\{ )?`+g[1]+`\b.*\n`).ReplaceAllString(options, "")
		}
		return head + options + "  " + strings.Join(w.Lines, "\n  ") + "\n" + rest
	})
}
