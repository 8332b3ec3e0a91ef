package mtatest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"

	"ehlogate/lists/test/testenv"
)

// Log is a log file that a server appends to. A file that does not exist yet is an empty log.
type Log struct{ path string }

// Path is where the log file is.
func (l *Log) Path() string { return l.path }

// Mark returns the present length in bytes, as the starting point for a later Await, Lines or Troubles: what was logged
// before it does not count.
func (l *Log) Mark() int64 {
	info, err := os.Stat(l.path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// Lines returns the complete lines behind mark that match re. It fails if the file cannot be read.
func (l *Log) Lines(re *regexp.Regexp, mark int64) ([]string, error) {
	data, err := os.ReadFile(l.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading the log: %w", err)
	}
	if mark > int64(len(data)) {
		mark = int64(len(data))
	}
	var found []string
	for line := range strings.Lines(string(data[mark:])) {
		if line, complete := strings.CutSuffix(line, "\n"); complete && re.MatchString(line) {
			found = append(found, line)
		}
	}
	return found, nil
}

// Await returns the first line behind mark that matches re, waiting for it until the context ends. The error then says
// what was awaited and carries the end of the log.
func (l *Log) Await(ctx context.Context, re *regexp.Regexp, mark int64) (string, error) {
	var line string
	err := testenv.Await(ctx, func() (bool, error) {
		found, err := l.Lines(re, mark)
		if len(found) > 0 {
			line = found[0]
		}
		return len(found) > 0, err
	})
	if err != nil {
		return "", fmt.Errorf("waiting for a log line that matches %q: %w\n%s", re, err, l.Tail(30))
	}
	return line, nil
}

var (
	trouble = regexp.MustCompile(`\b(panic|fatal|error|warning): `)
	// clockWarning is what cleanup says, rarely, of a message written at the turn of a second; it is about the machine's clocks.
	clockWarning = regexp.MustCompile(`cleanup\[\d+\]: warning: (file system clock is 1 seconds ahead|resetting file time stamps)`)
)

// Troubles returns the lines behind mark in which a Postfix program complains: panic, fatal, error and warning.
func (l *Log) Troubles(mark int64) ([]string, error) {
	lines, err := l.Lines(trouble, mark)
	return slices.DeleteFunc(lines, clockWarning.MatchString), err
}

// Tail returns the last n lines under a heading with the file's name, for errors.
func (l *Log) Tail(n int) string {
	data, err := os.ReadFile(l.path)
	if err != nil {
		return fmt.Sprintf("--- no log: %v", err)
	}
	lines := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return fmt.Sprintf("--- end of %s:\n%s", l.path, strings.Join(lines, "\n"))
}
