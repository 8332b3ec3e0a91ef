package main

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"ehlogate/lists/test/testenv"
)

// runEhlogate runs a command of ehlogate with c.toml, behind one of the shell in a mount namespace, until it ends or says
// that it serves. failed: it ended with another exit code than 0.
func runEhlogate(t *testing.T, dir, before, command string, unprivileged bool) (failed bool, output string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	script := "exec ehlogate " + command + " -c " + filepath.Join(dir, "c.toml")
	if before != "" {
		script = before + " && " + script
	}
	cmd := exec.CommandContext(ctx, "sh", "-c", script)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if unprivileged {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobodyID, Gid: nobodyID}}
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	out := &servingWriter{serving: cancel}
	cmd.Stdout, cmd.Stderr = out, out
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok && !errors.Is(err, context.Canceled) || ok && exit.ExitCode() < 0 {
		t.Fatalf("%s: %v\n%s", command, err, out.String())
	}
	return err != nil && !errors.Is(err, context.Canceled), out.String()
}

// servingWriter keeps what is written, and calls serving when the daemon says that it serves.
type servingWriter struct {
	text    []byte
	serving func()
}

func (w *servingWriter) Write(p []byte) (int, error) {
	w.text = append(w.text, p...)
	if bytes.Contains(w.text, []byte("msg=serving")) {
		w.serving()
	}
	return len(p), nil
}

func (w *servingWriter) String() string { return string(w.text) }

// serveInBackground runs a daemon with c.toml as long as the test.
func serveInBackground(t *testing.T, dir string) {
	t.Helper()
	serving := make(chan struct{})
	done := make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "ehlogate", "serve", "-c", filepath.Join(dir, "c.toml"))
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	said := false
	out := &servingWriter{serving: func() {
		if !said {
			close(serving)
		}
		said = true
	}}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = cmd.Wait(); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	select {
	case <-serving:
	case <-done:
		t.Fatalf("the daemon ended: %s", out.String())
	case <-time.After(testenv.Soon):
		t.Fatal("timeout: the daemon does not serve")
	}
}
