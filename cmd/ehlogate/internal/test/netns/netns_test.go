package netns

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"ehlogate/lists/test/testenv"
)

func network(t *testing.T) string {
	name, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		t.Error(err)
	}
	return name
}

// Two networks that are joined by a cable reach each other, and no other network does.
func TestLink(t *testing.T) {
	testenv.Needs(t, "root")
	var both [2]*Namespace
	for i := range both {
		n, err := New()
		if err != nil {
			t.Fatal(err)
		}
		defer n.Close()
		both[i] = n
	}
	a, b := both[0], both[1]
	if err := Link(t.Context(), a, "left", b, "right"); err != nil {
		t.Fatal(err)
	}
	for addr, n := range map[string]*Namespace{"192.0.2.1/24": a, "192.0.2.2/24": b} {
		dev := map[*Namespace]string{a: "left", b: "right"}[n]
		if _, err := n.Run(t.Context(), "ip", "addr", "add", addr, "dev", dev); err != nil {
			t.Fatal(err)
		}
	}
	var l net.Listener
	var ours, inside string
	ours = network(t)
	err := b.Do(func() (err error) {
		inside = network(t)
		l, err = net.Listen("tcp", "192.0.2.2:25")
		return err
	})
	if err != nil || inside == ours || network(t) != ours {
		t.Fatalf("%v; inside %s, ours %s, then %s", err, inside, ours, network(t))
	}
	defer l.Close()
	err = a.Do(func() error {
		c, err := net.Dial("tcp", "192.0.2.2:25")
		if err == nil {
			c.Close()
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if out, err := a.Run(t.Context(), "sh", "-c", "echo out; exit 3"); err == nil || out != "out\n" {
		t.Errorf("%q, %v", out, err)
	}
	if out, err := a.Pipe(t.Context(), "in", "cat"); err != nil || out != "in" {
		t.Errorf("%q, %v", out, err)
	}
}

// Making a network ends no thread: processes that are set to die with the one that started them live on.
func TestNewSparesChildren(t *testing.T) {
	testenv.Needs(t, "root")
	var children []*exec.Cmd
	for range 20 {
		cmd := exec.Command("sleep", "60")
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		started := make(chan error)
		go func() { started <- cmd.Start() }() // by whichever thread there is
		n, err := New()
		if err := errors.Join(err, <-started); err != nil {
			t.Fatal(err)
		}
		defer n.Close()
		children = append(children, cmd)
	}
	for _, cmd := range children {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		var exit *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
			t.Errorf("a child ended by itself: %v", err)
		}
	}
}
