package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/cmd/ehlogate/internal/logs"
	"ehlogate/cmd/ehlogate/internal/state"
	"ehlogate/lists"
	"ehlogate/lists/diag"
)

// checkLogs warns of logs that serve could not read, in its words: it does without them.
func (c *checker) checkLogs(cfg *config.Config) {
	c.checkWatch(cfg)
	if c.elsewhere || cfg.Logs.IsEmpty() {
		return
	}
	options := state.LogsOptions(cfg)
	warned := c.lint.Warnings.Total
	for _, name := range options.Names() {
		err := logs.Precheck(context.Background(), options, name, programName)
		if err == nil {
			continue
		}
		key, hint := "files", "make it readable for the user that ehlogate runs as"
		switch {
		case name == logs.JournalName:
			key, hint = "journal", "let the user that ehlogate runs as run journalctl (logs-journal.conf among the examples for systemd)"
			if errors.Is(err, logs.ErrNoMail) {
				hint = "have the mail server log to syslog (Exim: log_file_path), with the facility mail; or name its log in files"
			}
		case name == options.Socket:
			key, hint = "socket", "rsyslog must be able to reach it: see rsyslog/ehlogate.conf among the examples"
		case errors.Is(err, logs.ErrNoMail), errors.Is(err, fs.ErrNotExist):
			hint = "name the log that Postfix, Sendmail or Exim writes, such as /var/log/mail.log or /var/log/exim4/mainlog"
		}
		c.lint.Warnings.Add(diag.Problem{File: cfg.File, Msg: fmt.Sprintf("[logs] %s: %v", key, err), Hint: hint})
	}
	if c.lint.Warnings.Total == warned {
		more := ""
		if os.Geteuid() == 0 {
			more = " (not checked: the rights of the user that serve runs as; ehlogate doctor does)"
		}
		fmt.Fprintf(c.out, "logs: fine, %s%s\n", formatCount(len(options.Names()), "log", "logs"), more)
	}
}

// checkWatch warns of files of [fallback] watch that do not exist. Of the defaults most do not.
func (c *checker) checkWatch(cfg *config.Config) {
	if c.elsewhere || cfg.FindLearned(config.LearnFallback, lists.NoAction) == "" {
		return
	}
	for _, pattern := range cfg.Learn.Watch {
		if found, _ := filepath.Glob(pattern); len(found) == 0 && !slices.Contains(config.Defaults().Learn.Watch, pattern) {
			c.lint.Warnings.Add(diag.Problem{File: cfg.File, Msg: fmt.Sprintf("[fallback] watch: %s does not exist, or its directory is closed to this user", pattern),
				Hint: "name the files that the mail server uses; as root, ehlogate doctor says whether the daemon sees them"})
		}
	}
}
