package edit

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"ehlogate/lists/filewatch"
	"ehlogate/lists/printable"
)

// OpenError means that an editor has a file open: what it saves later would undo a change.
type OpenError struct {
	Path   string // of the list
	Lock   string // of the editor's own file beside it
	Editor string
	PID    int    // 0: not known
	Host   string // "": not known
	Gone   bool   // the process has ended, so that the file was left behind
}

func (e *OpenError) Error() string {
	by := e.Editor
	if e.PID > 0 {
		by += fmt.Sprintf(", process %d", e.PID)
	}
	if e.Host != "" {
		by += " on " + printable.Escape(e.Host)
	}
	if e.Gone {
		return fmt.Sprintf("%s: an editor (%s) left %s behind, and has ended: it may hold changes that were not saved; look at them and remove it, or use --force", e.Path, by, e.Lock)
	}
	return fmt.Sprintf("%s is open in an editor (%s), which would overwrite the change: %s; close it, or use --force if it is closed", e.Path, by, e.Lock)
}

// CheckEditors returns an *OpenError if an editor has the file open, by the file that editors make beside it for each other.
func CheckEditors(path string) error {
	paths := []string{path}
	if target, err := filepath.EvalSymlinks(path); err == nil && target != path {
		paths = append(paths, target)
	}
	for _, path := range paths {
		dir, base := filepath.Split(path)
		for _, suffix := range []string{".swp", ".swo", ".swn"} {
			if e := readSwap(dir + "." + base + suffix); e != nil {
				e.Path = path
				return e
			}
		}
		for _, lock := range []struct{ editor, name string }{{"Kate", "." + base + ".kate-swp"}, {"LibreOffice", ".~lock." + base + "#"}} {
			if _, err := os.Lstat(dir + lock.name); err == nil {
				return &OpenError{Path: path, Lock: dir + lock.name, Editor: lock.editor}
			}
		}
		if e := readEmacsLock(dir + ".#" + base); e != nil {
			e.Path = path
			return e
		}
	}
	return nil
}

// Where a swap file of Vim, and a lock file of nano, which is alike, has what (memline.c, files.c).
const (
	swapVersion, swapVersionEnd = 2, 12
	swapPID                     = 24
	swapHost, swapHostEnd       = 68, 108
)

// readSwap returns which editor made a swap file; nil if there is none.
func readSwap(name string) *OpenError {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	e := &OpenError{Lock: name, Editor: "Vim or nano"}
	if err != nil {
		return e // it is there, and may be of another user
	}
	defer f.Close()
	head := make([]byte, swapHostEnd)
	if n, _ := f.Read(head); n < len(head) || string(head[:2]) != "b0" {
		return e
	}
	version, _, _ := bytes.Cut(head[swapVersion:swapVersionEnd], []byte{0})
	host, _, _ := bytes.Cut(head[swapHost:swapHostEnd], []byte{0})
	e.Editor, _, _ = strings.Cut(string(version), " ") // "VIM 9.0", "nano 7.2"
	e.Host, e.PID = string(host), int(binary.LittleEndian.Uint32(head[swapPID:]))
	e.Gone = hasEnded(e.Host, e.PID)
	return e
}

// maxLock is how many bytes the lock of Emacs has at most.
const maxLock = 4 << 10

// readEmacsLock returns which Emacs has a file open, by its lock: a symbolic link to USER@HOST.PID:BOOT, or a file with that
// text.
func readEmacsLock(name string) *OpenError {
	text, err := os.Readlink(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	e := &OpenError{Lock: name, Editor: "Emacs"}
	if errors.Is(err, syscall.EINVAL) { // no link
		content, _ := filewatch.ReadFile(name, maxLock) // of a pipe, nothing is known but that it is there
		text = string(content)
	}
	_, text, _ = strings.Cut(text, "@")
	text, _, _ = strings.Cut(strings.TrimSpace(text), ":")
	if dot := strings.LastIndexByte(text, '.'); dot >= 0 {
		e.Host = text[:dot]
		fmt.Sscan(text[dot+1:], &e.PID)
	}
	e.Gone = hasEnded(e.Host, e.PID)
	return e
}

// hasEnded reports whether a process of this host does not exist.
func hasEnded(host string, pid int) bool {
	own, err := os.Hostname()
	return err == nil && host == own && pid > 0 && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
}
