package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"ehlogate/lists/maillog/logfile"
)

// openTerminal returns both ends of a pseudo terminal with lines of that width (pty(7)).
func openTerminal(t *testing.T, width uint16) (screen, terminal *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { screen.Close() })
	fd := int(screen.Fd())
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: width})
	}
	if err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { terminal.Close() })
	return screen, terminal
}

// The progress fits into one line of the terminal, whatever its width and the names of files, and is not shown elsewhere.
func TestProgress(t *testing.T) {
	for _, width := range []uint16{0, 2, 20, 80, 1000} {
		screen, terminal := openTerminal(t, width)
		p := newProgress(terminal, []logfile.File{{Size: 1e9}})
		p.show("/var/log/\x1b[31m"+strings.Repeat("x", 200), 1e8)
		fmt.Fprint(terminal, "\x00")
		var got strings.Builder
		for !strings.HasSuffix(got.String(), "\x00") {
			buf := make([]byte, 1000)
			n, err := screen.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			got.Write(buf[:n])
		}
		line, ok := strings.CutPrefix(strings.TrimSuffix(got.String(), "\x00"), "\r\x1b[K")
		if limit := int(width); !ok || strings.ContainsAny(line, "\x1b\r\n") || len(line) == 0 || limit > 0 && len(line) >= limit || len(line) >= 100 {
			t.Errorf("width %d: got %q", width, got.String())
		}
	}
	file, err := os.Create(t.TempDir() + "/stderr")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if p := newProgress(file, nil); p.w != nil {
		t.Error("progress is shown in a file")
	}
}
