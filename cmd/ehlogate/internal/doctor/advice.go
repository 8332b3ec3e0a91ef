package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/lists/lazyregexp"
	"ehlogate/lists/secret"
)

const (
	shell         = "a root shell" // where commands are to be run
	postfixReload = "postfix reload"
)

// Write is what to write, and where. A line replaces one that sets the same parameter there. Lines for the shell are
// commands.
type Write struct {
	In    string   `json:"in,omitempty"`
	Lines []string `json:"lines,omitempty"`
}

// withoutKeys returns a copy of w without keys of DNS lists, as in reject_rbl_client KEY.zen.dq.example. A command without its
// key would break the setting, so it becomes a line to write by hand.
func (w Write) withoutKeys() Write {
	lines := make([]string, len(w.Lines))
	for i, l := range w.Lines {
		if lines[i] = secret.MaskText(l); lines[i] != l {
			w.In = "the mail server's configuration, by hand, with your key in place of ***"
		}
	}
	w.Lines = lines
	return w
}

// adviseValue returns the advice to write another value in that place.
func (at Place) adviseValue(value string) Write {
	setting := strings.TrimSpace(at.Parameter + " = " + value)
	switch at.File {
	case "master.cf":
		return setOption(at.Service, at.Parameter, value)
	case "main.cf", defaultFile:
		return setMain(setting)
	}
	return Write{at.File, []string{setting}}
}

// adviseReplacement returns the advice to change one part of a value. If the part came from another setting, it is
// shown alone.
func (at Place) adviseReplacement(part, by string) Write {
	if !strings.Contains(at.Value, part) {
		return Write{at.File, []string{by}}
	}
	return at.adviseValue(strings.Replace(at.Value, part, by, 1))
}

func (e *exam) inSection(section string, lines ...string) Write {
	return Write{e.file + ", in [" + section + "]", lines}
}

// atTop returns the advice to set a key that is in no section of the config.
func (e *exam) atTop(key, value string) Write {
	return Write{e.file + ", above the first section, in place of any " + key, []string{key + " = " + value}}
}

// reloadDaemon is the advice to have the daemon read its config.
var reloadDaemon = Write{shell, []string{"systemctl reload ehlogate"}}

func (e *exam) command(words ...string) string {
	out := "ehlogate " + words[0]
	if e.file != config.DefaultFile {
		out += " -c " + e.file
	}
	return strings.Join(append([]string{out}, words[1:]...), " ")
}

// setOption returns the advice to set a parameter for one service, named as in master.cf. A command replaces all
// options of that name; a pasted line has no effect if another one is further down. The command takes no white space.
func setOption(service, param, value string) Write {
	if short, ok := compact(value); ok {
		return Write{shell, []string{"postconf -P " + quoteShell(slashName(service)+"/"+param+"="+short)}}
	}
	return Write{"master.cf, below " + service + ", in place of each -o " + param, []string{fmt.Sprintf("-o { %s = %s }", param, value)}}
}

// setOption returns the advice to set a parameter for this service alone.
func (v view) setOption(param, value string) Write {
	w := setOption(v.svc.String(), param, value)
	if _, twice := v.svc.Earlier[param]; twice && w.In == shell { // postconf -P would make two lines of one value
		w.Lines[0] = v.removeCommand(param) + " && " + w.Lines[0]
	}
	return w
}

func (v view) removeCommand(param string) string {
	return "postconf -PX " + quoteShell(slashName(v.svc.String())+"/"+param)
}

func slashName(service string) string { return strings.Replace(service, " ", "/", 1) }

func quoteShell(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

var (
	// keepsSpace matches white space that separates no entries: of a value, as in { NAME = TWO WORDS }, of an expression, or
	// in a table that is not made of tables.
	keepsSpace = lazyregexp.New(`\{\s*[^\s{},=]+\s*=\s*[^\s{}][^{}]*?\s+[^\s{}]|\$[{(][^})]*\s|\b(static|regexp|pcre|cidr|texthash):\{[^}]*\s`)
	aroundSign = strings.NewReplacer("{,", "{", ",}", "}", ",=,", "=", ",=", "=", "=,", "=")
	separators = lazyregexp.New(`[\s,]+`)
)

// compact returns a list without white space. ok is false if white space has a meaning in it, as in "REJECT too old".
func compact(value string) (short string, ok bool) {
	return strings.Trim(aroundSign.Replace(separators.ReplaceAllString(value, ",")), ","), !keepsSpace.MatchString(value)
}

// setMain returns the advice to set parameters in main.cf. A pasted line has no effect if another one is further down.
func setMain(settings ...string) Write {
	w := Write{In: shell}
	for _, s := range settings {
		w.Lines = append(w.Lines, "postconf "+quoteShell(s))
	}
	return w
}

// exampleFiles are where the package installs the examples.
const exampleFiles = "/usr/share/doc/ehlogate/examples/"

// copyExample returns the advice to copy the file that exampleMap names, which must be there first: without it, smtpd
// refuses all clients. The advice is empty if the file is there, or if that cannot be known.
func (e *exam) copyExample(v view) (w Write) {
	dir := v.value(configDirectory)
	if _, err := e.host.readFile(path.Join(dir, exampleFile)); errors.Is(err, fs.ErrNotExist) {
		w = Write{shell, []string{copyCommand("postfix/"+exampleFile, dir+"/")}}
	}
	return w
}

func copyCommand(example, to string) string {
	return "cp " + exampleFiles + example + " " + quoteShell(to)
}
