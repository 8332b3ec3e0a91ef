package main

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/cmd/ehlogate/internal/logformat"
)

// TestNotifyDeaf checks that a service manager that does not read does not stop the daemon, and reads what was sent once it
// does.
func TestNotifyDeaf(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for err == nil { // until there is no room
		err = sendState(path, "READY=1")
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	if n, err := c.Read(buf); string(buf[:n]) != "READY=1" {
		t.Errorf("heard %q, %v", buf[:n], err)
	}

	t.Setenv("NOTIFY_SOCKET", path+"missing")
	var out syncBuffer
	lines := newLogWriter(&out, logformat.New(false))
	log := newLogger(config.Defaults().Log, lines)
	notifyManager(log, "READY=1")
	notifyManager(log, "WATCHDOG=1")
	lines.Close()
	if n := strings.Count(out.String(), "sd_notify failed"); n != 1 {
		t.Errorf("logged %d times, want 1: %s", n, out.String())
	}
}
