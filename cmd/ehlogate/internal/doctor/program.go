package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// programLimit is how long one run of a program of the mail server may take.
const programLimit = 10 * time.Second

// runProgram returns what a program of the mail server wrote to its standard output. Its names are those that
// distributions give it. It is also found where administrators' programs are, which may not be in PATH.
func runProgram(ctx context.Context, names []string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, programLimit)
	defer cancel()
	program, err := findProgram(names)
	if err != nil {
		return "", err
	}
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stderr = &stderr
	cmd.WaitDelay = time.Second // for a child of it that keeps the pipe open
	out, err := cmd.Output()
	command := strings.Join(append([]string{names[0]}, args...), " ")
	switch {
	case err == nil:
		return string(out), nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return "", fmt.Errorf("timeout: %s did not end in time (limit %v): run it by hand to see what it waits for", command, programLimit)
	}
	return "", fmt.Errorf("%s: %w%s", command, err, lastLines(stderr.String()))
}

// findProgram returns the path of the first of the programs that is installed.
func findProgram(names []string) (path string, err error) {
	for _, name := range names {
		for _, dir := range []string{"", "/usr/sbin", "/usr/local/sbin"} {
			if path, err = exec.LookPath(filepath.Join(dir, name)); err == nil {
				return path, nil
			}
		}
	}
	return "", fmt.Errorf("%s is not installed on this machine: doctor needs the mail server's own program to read its settings, "+
		"also those of copies; run doctor where it is installed", strings.Join(names, " or "))
}

// lastLines returns what a program said last of what went wrong.
func lastLines(stderr string) string {
	const most = 3
	lines := strings.Split(strings.TrimSpace(stderr), "\n")
	if text := strings.Join(lines[max(0, len(lines)-most):], "\n"); text != "" {
		return ":\n" + text
	}
	return ""
}
