package mtatest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"ehlogate/cmd/ehlogate/internal/test/netns"
)

// child is a process that we started and wait for.
type child struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended and was waited for
	exit error         // as exec.Cmd.Wait says it; valid after done
}

// within runs a function in a network; nil is ours.
func within(network *netns.Namespace, run func() error) error {
	if network == nil {
		return run()
	}
	return network.Do(run)
}

// startChild starts the command, and waits for its end in a goroutine that lives as long as the process.
func startChild(cmd *exec.Cmd) (*child, error) {
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &child{cmd: cmd, done: make(chan struct{})}
	go func() {
		c.exit = cmd.Wait()
		close(c.done)
	}()
	return c, nil
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// exited reports whether the process has ended, and how.
func (c *child) exited() (exit error, ended bool) {
	select {
	case <-c.done:
		if c.exit == nil {
			return errors.New("exit status 0"), true
		}
		return c.exit, true
	default:
		return nil, false
	}
}

// signal sends a signal to the process; it fails if the process has ended.
func (c *child) signal(sig syscall.Signal) error {
	if err := c.cmd.Process.Signal(sig); err != nil {
		return fmt.Errorf("sending %v to process %d: %w", sig, c.pid(), err)
	}
	return nil
}

// endProcess sends a signal and waits until the process is gone. If it is not by the end of the context, it is killed and that is
// an error. A process that is gone already is no error.
func (c *child) endProcess(ctx context.Context, sig syscall.Signal) error {
	if err := c.signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	if sig == syscall.SIGKILL {
		<-c.done // nothing can keep it
		return nil
	}
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
	}
	if err := c.signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-c.done
	return fmt.Errorf("process %d did not end on %v and was killed: %w", c.pid(), sig, context.Cause(ctx))
}
