package config

import (
	"fmt"
	"path/filepath"
	"slices"

	"ehlogate/cmd/ehlogate/internal/server"
)

// maxLogs bounds the memory and the open files.
const maxLogs = 16

// logRepairs are for names of logs. The first that matches counts.
var logRepairs = append([]repair{
	newRepair(`\.(gz|xz|zst|bz2)$`, "this log is not written any more", "name the log that the mail server writes; ehlogate replay reads old ones"),
	newRepair(`[*?\[]`, "a pattern is not possible here", "name the log that the mail server writes; what rotation makes of it is found by itself"),
	newRepair(`^journal(d|ctl)?$|/log/journal(/|$)|\.journal~?$`, "the journal is no text file", "write journal = true in [logs] in its place"),
	newRepair(`^mail\.(warn|err)$|/mail\.(warn|err)$`, "this log has errors of TLS, but not whose they are", "name the log that has all lines of the mail server, such as /var/log/mail.log"),
}, fileRepairs...)

func (p *parser) parseLogs(r *rawLogs, l *Logs) {
	if len(r.Files) > maxLogs {
		p.addProblem("logs.files", fmt.Sprintf("%d logs: at most %d can be read", len(r.Files), maxLogs), "have syslog write the lines of mail servers to one file")
	}
	for i, name := range r.Files {
		at := fmt.Sprintf("logs.files[%d]", i)
		if r, ok := findRepair(logRepairs, name); ok {
			p.addProblem(at, fmt.Sprintf("invalid log %q: %s", name, r.msg), r.hint)
			continue
		}
		if !filepath.IsAbs(name) {
			p.addProblem(at, fmt.Sprintf("%q is not an absolute path", name), "write the whole path of the log, such as /var/log/mail.log")
			continue
		}
		name = filepath.Clean(name)
		if slices.Contains(l.Files, name) {
			p.addProblem(at, fmt.Sprintf("log %q is there twice", name), "remove one of the two")
		}
		l.Files = append(l.Files, name)
	}
	l.Journal = r.Journal
	if s := r.Socket; s != nil && *s != "" {
		err := server.CheckAddress(*s)
		switch {
		case !filepath.IsAbs(*s):
			p.addProblem("logs.socket", fmt.Sprintf("%q is not an absolute path", *s), `write the path of a unix socket, such as "/var/lib/ehlogate/log"`)
		case err != nil:
			p.addProblem("logs.socket", fmt.Sprintf("%q: %v", *s, err), `write the path of a unix socket, such as "/var/lib/ehlogate/log"`)
		default:
			p.checkAddresses([]string{*s}, "logs.socket")
		}
		l.Socket = filepath.Clean(*s)
	}
	p.parseState(r.State, "logs.state", &l.State)
}
