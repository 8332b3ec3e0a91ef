package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"ehlogate/lists/lazyregexp"
	"ehlogate/lists/maillog/logfile"
)

// usualLogs are where mail servers log on Debian, Red Hat and others. The first that exists is read.
var usualLogs = []string{"/var/log/mail.log", "/var/log/maillog", "/var/log/exim4/mainlog", "/var/log/exim/main.log"}

// choose returns the files to read, oldest first; nil for standard input.
func (r *replayRun) choose(args []string) (files []logfile.File, journal bool, err error) {
	if r.journal {
		if len(args) > 0 {
			return nil, false, errors.New("--journal reads the journal: name no file")
		}
		return nil, true, nil
	}
	if len(args) == 1 && args[0] == "-" {
		return nil, false, nil
	}
	if len(args) == 0 {
		for _, usual := range usualLogs {
			_, err := os.Stat(usual)
			if errors.Is(err, fs.ErrPermission) {
				return nil, false, explainUnread(err)
			}
			if err == nil {
				args = []string{usual + "*"}
				break
			}
		}
		if len(args) == 0 {
			return nil, true, nil
		}
	}
	files, err = logfile.Find(args)
	return files, false, explainUnread(err)
}

// explainUnread adds to the error of a log what the operator can do.
func explainUnread(err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: run this as root, or as a user of the group that may read it (on Debian: adm)", err)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: the file is cut off, or still being compressed", err)
	}
	return err
}

// theJournal is the name of the journal in messages.
const theJournal = "the journal"

// nothingFound is the error if no session counts. It says what was seen instead.
func (r *replayRun) nothingFound(name string) error {
	name = filepath.Clean(name)
	switch last := r.lastEarly; {
	case r.early > 0:
		return fmt.Errorf("no session since %s found in %s: it has %s before, the last at %s: choose an earlier --since",
			formatMinute(r.since), name, formatCount(int(r.early), "session", "sessions"), formatMinute(last))
	case r.stats.Lines == 0 && !last.IsZero():
		return fmt.Errorf("no session since %s found in %s: its last line is of %s: choose an earlier --since", formatMinute(r.since), name, formatMinute(last))
	}
	s := r.stats
	why := fmt.Sprintf("%d lines: %d of other programs, %d of a mail server, %d in no known form", s.Lines, s.Foreign, s.Mail, s.Unframed)
	do := "name the log of Postfix, Sendmail or Exim, such as /var/log/mail.log or /var/log/exim4/mainlog"
	if name != theJournal {
		do += ", or read the journal with --journal"
	}
	switch {
	case s.Lines == 0:
		why = "it is empty"
	case s.Orphans > 0:
		do = "it has errors of the TLS library without the lines that name the client, as mail.warn and mail.err do: name mail.log"
	case bytes.IndexByte(r.sample, 0) >= 0:
		why = "it is no text"
	case s.Unframed > 0 && r.sample != nil && r.redact == nil:
		why += fmt.Sprintf(", such as %q", r.sample)
	}
	return fmt.Errorf("no session found in %s (%s): %s", name, why, do)
}

func formatMinute(t time.Time) string { return t.Local().Format("2006-01-02 15:04") }

var days = lazyregexp.New(`^(\d{1,5})([dw])$`)

// parseSince reads a time, or how long before now it is. Empty is the zero time.
func parseSince(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if m := days.FindStringSubmatch(s); m != nil && strings.Trim(m[1], "0") != "" {
		n, _ := strconv.Atoi(m[1])
		if m[2] == "w" {
			n *= 7
		}
		return now.AddDate(0, 0, -n), nil
	}
	if d, err := time.ParseDuration(s); err == nil && d > 0 {
		return now.Add(-d), nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly, time.DateTime, "2006-01-02 15:04", "2006-01-02T15:04", "2006-01-02T15:04:05"} {
		if t, err := time.ParseInLocation(layout, s, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("--since: %q is no time: write 7d, 36h, 2026-11-21, \"2026-11-21 14:00\" or 2026-11-21T14:00:00Z", s)
}
