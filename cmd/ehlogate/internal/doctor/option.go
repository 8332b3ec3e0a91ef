package doctor

import (
	"fmt"
	"strings"
)

// option is the advice to set a parameter for one service, named as in master.cf. A command replaces the options of that name;
// a line that is pasted does nothing if another one stands further down. Postfix takes no white space by the command.
func option(service, param, value string) Write {
	if short, ok := compact(value); ok {
		return Write{shell, []string{"postconf -P " + quote(slashed(service)+"/"+param+"="+short)}}
	}
	return Write{"master.cf, below " + service + ", in place of each -o " + param, []string{fmt.Sprintf("-o { %s = %s }", param, value)}}
}

// option is the advice to set a parameter for this service alone.
func (v view) option(param, value string) Write {
	w := option(v.svc.String(), param, value)
	if _, twice := v.svc.Earlier[param]; twice && w.In == shell { // postconf -P would make two lines of one value
		w.Lines[0] = v.remove(param) + " && " + w.Lines[0]
	}
	return w
}

// remove is the command that removes all options of a name from this service.
func (v view) remove(param string) string {
	return "postconf -PX " + quote(slashed(v.svc.String())+"/"+param)
}

func slashed(service string) string { return strings.Replace(service, " ", "/", 1) }

// quote quotes a word for the shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

const space = " \t\r\n"

// compact writes a list without white space. ok is false if some of it means something, as in "REJECT too old".
func compact(value string) (short string, ok bool) {
	ws := words(value)
	for i, w := range ws {
		if !strings.ContainsAny(w, space) {
			continue
		}
		open := strings.IndexByte(w, '{')
		if open < 0 {
			return "", false
		}
		inner, n := balanced(w[open:])
		if n == 0 || open+n != len(w) {
			return "", false
		}
		switch kind := strings.TrimPrefix(w[:open], "proxy:"); kind {
		case "", "unionmap:", "pipemap:", "inline:":
		default:
			return "", false
		}
		if short, ok = compact(inner); open == 0 {
			if name, value, is := strings.Cut(inner, "="); is && !strings.ContainsAny(strings.TrimSpace(name), space+",{") {
				value = strings.TrimSpace(value)
				short, ok = strings.TrimSpace(name)+"="+value, !strings.ContainsAny(value, space)
			}
		}
		if !ok {
			return "", false
		}
		ws[i] = w[:open] + "{" + short + "}"
	}
	return strings.Join(ws, ","), true
}

// in has the commands of a finding change the configuration in a directory.
func (f *Finding) in(dir string) {
	for _, w := range append([]Write{f.Write}, f.Also...) {
		for i := range w.Lines {
			if w.In == shell {
				w.Lines[i] = strings.ReplaceAll(w.Lines[i], "postconf ", "postconf -c "+quote(dir)+" ")
			}
		}
	}
}
