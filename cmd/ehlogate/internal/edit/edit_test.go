package edit

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ehlogate/lists"
	"ehlogate/lists/listfile"
	"ehlogate/lists/test/testenv"
)

var rules = listfile.Rules{Action: lists.Suppress}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func writeFile(t *testing.T, text string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "deny.list")
	must(t, os.WriteFile(path, []byte(text), 0o640))
	return path
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	must(t, err)
	return string(text)
}

func TestAppend(t *testing.T) {
	for _, tc := range []struct{ old, want string }{
		{"# mine\n192.0.2.1 # a  note\n", "# mine\n192.0.2.1 # a  note\n192.0.2.7  # new\n"},
		{"192.0.2.1\r\n", "192.0.2.1\r\n192.0.2.7  # new\r\n"},
		{"# nothing yet\n", "# nothing yet\n192.0.2.7  # new\n"},
	} {
		path := writeFile(t, tc.old)
		must(t, Append(path, rules, "192.0.2.7  # new"))
		if got := readFile(t, path); got != tc.want {
			t.Errorf("%q became %q; want %q", tc.old, got, tc.want)
		}
	}
}

// A file that the daemon would refuse, before or after the change, stays as it is.
func TestAppendRefused(t *testing.T) {
	for _, tc := range []struct{ name, old, line, want string }{
		{"no newline at the end", "192.0.2.1", "192.0.2.7", "has errors already"},
		{"empty", "", "192.0.2.7", "has errors already"},
		{"an error in the file", "192.0.2.1\n192.0.2.300\n", "192.0.2.7", "deny.list:2:"},
		{"an error in the line", "192.0.2.1\n", "192.0.2.7/24", "nothing was changed:\n"},
		{"too wide", "192.0.2.1\n", "0.0.0.0/0", "allow_wide"},
	} {
		path := writeFile(t, tc.old)
		err := Append(path, rules, tc.line)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v; want %q", tc.name, err, tc.want)
		}
		if got := readFile(t, path); got != tc.old {
			t.Errorf("%s: %q; want it as it was", tc.name, got)
		}
		if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*")); len(left) != 1 {
			t.Errorf("%s: %q are left", tc.name, left)
		}
	}
}

func TestAppendKeepsAttributes(t *testing.T) {
	path := writeFile(t, "192.0.2.1\n")
	must(t, os.Chmod(path, 0o604))
	must(t, os.Chown(path, 65534, 65533))
	link := filepath.Join(t.TempDir(), "link.list")
	must(t, os.Symlink(path, link))
	const attribute = "user.ehlogate"
	extended := unix.Setxattr(path, attribute, []byte("kept"), 0)
	if extended != nil && extended != unix.ENOTSUP {
		t.Fatal(extended)
	}
	// An access list (acl(5)) that lets another user read it: version 2, then tag, permissions and ID of each entry.
	const access = "system.posix_acl_access"
	acl := []byte{2, 0, 0, 0}
	for _, e := range [][3]uint32{{1, 6, ^uint32(0)}, {2, 4, 65532}, {4, 4, ^uint32(0)}, {16, 4, ^uint32(0)}, {32, 4, ^uint32(0)}} {
		acl = binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint16(binary.LittleEndian.AppendUint16(acl, uint16(e[0])), uint16(e[1])), e[2])
	}
	limited := unix.Setxattr(path, access, acl, 0)
	if limited != nil && limited != unix.ENOTSUP {
		t.Fatal(limited)
	}
	mode, err := os.Stat(path)
	must(t, err)
	must(t, Append(link, rules, "192.0.2.7"))
	if got := make([]byte, 100); limited == nil {
		if n, err := unix.Getxattr(path, access, got); err != nil || !bytes.Equal(got[:n], acl) {
			t.Errorf("the access list is %v, %v; want %v", got[:n], err, acl)
		}
	}
	if target, err := os.Readlink(link); err != nil || target != path {
		t.Errorf("the link is %q, %v", target, err)
	}
	info, err := os.Stat(path)
	must(t, err)
	st := info.Sys().(*syscall.Stat_t)
	if info.Mode() != mode.Mode() || st.Uid != 65534 || st.Gid != 65533 {
		t.Errorf("%v, owner %d:%d", info.Mode(), st.Uid, st.Gid)
	}
	buf := make([]byte, 10)
	if n, err := unix.Getxattr(path, attribute, buf); extended == nil && (err != nil || string(buf[:n]) != "kept") {
		t.Errorf("attribute %q, %v", buf[:n], err)
	}
	if got := readFile(t, path); got != "192.0.2.1\n192.0.2.7\n" {
		t.Errorf("%q", got)
	}
}

// Several commands at once lose no line.
func TestAppendAtOnce(t *testing.T) {
	path := writeFile(t, "# begin\n")
	var running sync.WaitGroup
	for i := range 20 {
		running.Go(func() {
			if err := Append(path, rules, fmt.Sprintf("192.0.2.%d", i)); err != nil {
				t.Error(err)
			}
		})
	}
	running.Wait()
	text := readFile(t, path)
	for i := range 20 {
		if line := fmt.Sprintf("192.0.2.%d\n", i); strings.Count(text, line) != 1 {
			t.Errorf("%q is there %d times", line, strings.Count(text, line))
		}
	}
}

// An editor knows nothing of the lock.
func TestChangeMeanwhile(t *testing.T) {
	path := writeFile(t, "192.0.2.1\n")
	err := File{Path: path, Rules: rules}.Change(func(text []byte) ([]byte, error) {
		must(t, os.WriteFile(path, []byte("192.0.2.2\n"), 0o640))
		must(t, os.Chtimes(path, time.Time{}, time.Now().Add(time.Hour)))
		return append(text, "192.0.2.7\n"...), nil
	})
	if err == nil || !strings.Contains(err.Error(), "try again") {
		t.Errorf("%v; want an error", err)
	}
	if got := readFile(t, path); got != "192.0.2.2\n" {
		t.Errorf("%q; want what the editor wrote", got)
	}
}

func TestChangeRefusesKinds(t *testing.T) {
	path := writeFile(t, "192.0.2.1\n")
	must(t, os.Link(path, path+"2"))
	must(t, unix.Mkfifo(path+"4", 0o600))
	for at, want := range map[string]string{path: "hard links", path + "4": "not a regular file", "/dev/null": "not a regular file", filepath.Dir(path): "not a regular file", path + "3": "no such file"} {
		if err := Append(at, rules, "192.0.2.7"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", at, err, want)
		}
	}
}

// A change of a file that an editor has open is refused; what editors make beside a file says which.
func TestChangeRefusesEditors(t *testing.T) {
	host, err := os.Hostname()
	must(t, err)
	swap := func(host string, pid int) string {
		head := make([]byte, 1024)
		copy(head, "b0VIM 9.0")
		copy(head[swapHost:], host)
		head[swapPID], head[swapPID+1], head[swapPID+2] = byte(pid), byte(pid>>8), byte(pid>>16)
		return string(head)
	}
	const endedPID = 4194305 // above the highest that Linux allows
	for _, tc := range []struct {
		name, text, link, want string
	}{
		{".deny.list.swp", swap("elsewhere", 77), "", "open in an editor (VIM, process 77 on elsewhere)"},
		{".deny.list.swp", swap(host, os.Getpid()), "", "open in an editor (VIM"},
		{".deny.list.swp", swap(host, endedPID), "", "has ended"},
		{".deny.list.swo", "short", "", "(Vim or nano)"},
		{".#deny.list", "", "alice@elsewhere.example.77:1700000000", "(Emacs, process 77 on elsewhere.example)"},
		{".#deny.list", "alice@elsewhere.77", "", "(Emacs, process 77 on elsewhere)"},
		{".#deny.list", "", fmt.Sprintf("alice@%s.%d", host, endedPID), "has ended"},
		{".deny.list.kate-swp", "", "", "(Kate)"},
		{".~lock.deny.list#", "", "", "(LibreOffice)"},
	} {
		path := writeFile(t, "192.0.2.1\n")
		lock := filepath.Join(filepath.Dir(path), tc.name)
		if tc.link != "" {
			must(t, os.Symlink(tc.link, lock))
		} else {
			must(t, os.WriteFile(lock, []byte(tc.text), 0o600))
		}
		link := filepath.Join(t.TempDir(), "link.list")
		must(t, os.Symlink(path, link))
		for _, name := range []string{path, link} {
			err := Append(name, rules, "192.0.2.7")
			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), tc.name) || readFile(t, path) != "192.0.2.1\n" {
				t.Errorf("%s: %v; want %q", tc.name, err, tc.want)
			}
		}
		must(t, File{Path: path, Rules: rules, Force: true}.Change(func(text []byte) ([]byte, error) { return AppendLine(text, "192.0.2.7"), nil }))
		if got := readFile(t, path); got != "192.0.2.1\n192.0.2.7\n" {
			t.Errorf("%s: forced: %q", tc.name, got)
		}
	}
}

// Vim itself has the file open, and closes it.
func TestChangeRefusesVim(t *testing.T) {
	testenv.Needs(t, "Vim")
	path := writeFile(t, "192.0.2.1\n")
	vim := exec.CommandContext(t.Context(), "vim", "-e", "-s", "-u", "NONE", "-i", "NONE", path)
	vim.Env = append(os.Environ(), "TERM=dumb")
	commands, err := vim.StdinPipe()
	must(t, err)
	must(t, vim.Start())
	testenv.Eventually(t, "Vim has the file open, and its swap file a header", func() bool {
		var open *OpenError
		return errors.As(CheckEditors(path), &open) && open.PID > 0
	})
	err = Append(path, rules, "192.0.2.7")
	if want := fmt.Sprintf("open in an editor (VIM, process %d on ", vim.Process.Pid); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v; want %q", err, want)
	}
	_, err = io.WriteString(commands, "q!\n")
	must(t, err)
	must(t, vim.Wait())
	must(t, Append(path, rules, "192.0.2.7"))
}
