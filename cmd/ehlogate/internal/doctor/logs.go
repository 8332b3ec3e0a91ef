package doctor

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"ehlogate/lists/diag"
)

const (
	logSelector = "log_selector"
	tlsLogLevel = "smtpd_tls_loglevel"
	dropInDir   = "/etc/systemd/system/ehlogate.service.d"
)

func onLogs(e *exam) bool { return !e.config.Logs.IsEmpty() }

// checkLogAccess looks for logs of [logs] that the daemon cannot read.
func (e *exam) checkLogAccess() {
	u, ok := e.findServiceUser()
	if !ok {
		return
	}
	for _, name := range e.config.Logs.Files {
		if why := u.blockedFrom(e.ctx, "-r", name); why != "" {
			e.addForbiddenLog(e.configPlace("logs.files", name), name, u.name, why, "logs.conf")
		}
	}
	if e.config.Logs.Journal {
		if why := u.blockedFromJournal(e.ctx); why != "" {
			e.addForbiddenLog(e.configPlace("logs.journal", "true"), "the journal", u.name, why, "logs-journal.conf")
		}
	}
}

func (e *exam) addForbiddenLog(at Place, name, user, why, dropIn string) {
	effect := "Decisions do not depend on it."
	if e.config.Learns() {
		effect = "Lists with learn learn nothing until it can read all logs."
	}
	e.add(Warning, "log-forbidden", at, fmt.Sprintf("the daemon cannot read %s: %s", name, why),
		fmt.Sprintf("It runs as user %s. It counts no client of that log. %s", user, effect),
		Write{shell, []string{"mkdir -p " + dropInDir, copyCommand("systemd/"+dropIn, dropInDir+"/"), "systemctl daemon-reload && systemctl restart ehlogate"}})
}

// journalFiles are where systemd-journald keeps the journal of the system.
var journalFiles = []string{"/var/log/journal/*/system.journal", "/run/log/journal/*/system.journal"}

// blockedFromJournal returns why the user cannot read the journal with journalctl, or "".
func (u serviceUser) blockedFromJournal(ctx context.Context) string {
	program, err := exec.LookPath("journalctl")
	if err != nil {
		return "there is no journalctl: the journal needs systemd"
	}
	if slices.Contains(u.noExec, "/") && !slices.ContainsFunc(u.exec, func(dir string) bool { return isBelow(program, dir) }) {
		return "its unit has NoExecPaths=/, and ExecPaths= without " + program
	}
	if u.procSubset == "pid" {
		return "its unit has ProcSubset=pid, and journalctl needs /proc/sys"
	}
	var why string
	for _, pattern := range journalFiles {
		files, _ := filepath.Glob(pattern)
		for _, name := range files {
			if why = u.blockedFrom(ctx, "-r", name); why == "" {
				return ""
			}
		}
	}
	return why
}

func isBelow(name, dir string) bool {
	return name == dir || strings.HasPrefix(name, strings.TrimSuffix(dir, "/")+"/")
}

// checkPostfixLog looks whether Postfix logs how TLS went.
func (e *exam) checkPostfixLog() {
	if !onLogs(e) {
		return
	}
	for _, s := range e.smtpds {
		if s.isSubmission() || s.value(tlsLogLevel) != "0" {
			continue
		}
		e.add(Note, "log-hides-tls", s.place(tlsLogLevel), "Postfix does not log which version of TLS a client uses",
			"ehlogate, which reads the log, sees that TLS worked in the last line of a session alone. A version before 3.0, and a session that is cut off, have none.",
			s.setOption(tlsLogLevel, "1"))
	}
}

// checkEximLog looks whether Exim logs what tells port 25 from others, and sessions from one another.
func (e *exam) checkEximLog() {
	if !onLogs(e) {
		return
	}
	text, err := runProgram(e.ctx, eximPrograms, "-C", e.exim.path, "-bP", logSelector)
	if err != nil {
		return // it could be run before, and what it says of its log is not worth a refusal
	}
	value := parseSettings("exim -bP", text, new(diag.Problems))[logSelector]
	var missing []string
	for _, name := range []string{"incoming_interface", "incoming_port", "smtp_no_mail"} {
		if !selectsLog(value, name) {
			missing = append(missing, "+"+name)
		}
	}
	if len(missing) == 0 {
		return
	}
	e.add(Warning, "log-hides-sessions", Place{File: e.exim.file, Parameter: logSelector, Value: value}, "the log of Exim does not have "+strings.Join(missing, ", "),
		"ehlogate, which reads the log, counts sessions on other ports as sessions on port 25 without incoming_interface, cannot tell the sessions of one client apart without incoming_port, "+
			"and does not see clients that go away after STARTTLS without smtp_no_mail.",
		Write{"the configuration of Exim", []string{logSelector + " = " + strings.TrimSpace(value+" "+strings.Join(missing, " "))}})
}

// selectsLog reports whether a value of log_selector has Exim log what name stands for. It is not logged by default.
func selectsLog(value, name string) (selected bool) {
	for word := range strings.FieldsSeq(strings.NewReplacer("+", " +", "-", " -").Replace(value)) {
		if slices.Contains([]string{name, "all"}, word[1:]) {
			selected = word[0] == '+'
		}
	}
	return selected
}
