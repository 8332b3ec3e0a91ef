package logfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"syscall"
	"time"
)

// tail is an open log, or a part of one that was rotated, and up to where it was read.
type tail struct {
	Position
	file     *os.File
	size     int64     // at the last look
	changed  int64     // ns since 1970, at the last look
	idle     time.Time // since when there was nothing to read; zero: there is
	skipping bool      // the rest of a line whose begin was not read, or that is too long
}

// openTail opens a file, to be read from the beginning. It does not wait for a named pipe.
func openTail(path string) (*tail, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("not a regular file but %s", nameKind(info.Mode()))}
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	st := info.Sys().(*syscall.Stat_t)
	t := &tail{Position: Position{Device: uint64(st.Dev), Inode: st.Ino}, file: file}
	t.look(info)
	return t, nil
}

func nameKind(mode fs.FileMode) string {
	switch {
	case mode.IsDir():
		return "a directory"
	case mode&fs.ModeNamedPipe != 0:
		return "a named pipe"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	}
	return "a device"
}

// look takes note of the state of the file.
func (t *tail) look(info fs.FileInfo) {
	t.size, t.changed = info.Size(), info.ModTime().UnixNano()
	if size := min(t.size, headSize); size > t.HeadSize {
		if head, ok := hashHead(t.file, size); ok {
			t.Head, t.HeadSize = head, size
		}
	}
}

// skipTo has a tail continue at an offset.
func (t *tail) skipTo(offset int64) {
	t.Offset = offset
	if offset > 0 {
		last := make([]byte, 1)
		_, err := t.file.ReadAt(last, offset-1)
		t.skipping = err == nil && last[0] != '\n'
	}
}

var errReplaced = errors.New("the content was replaced")

// readLines reads once from the file, as far as limit, and calls do with each line that is complete, without its end. It
// returns how many bytes it is done with: 0 at the end of the file, or if the last line is not complete.
func (t *tail) readLines(buf []byte, limit int64, do func(line []byte)) (done int64, err error) {
	buf = buf[:max(0, min(int64(len(buf)), limit-t.Offset))]
	n, err := t.file.ReadAt(buf, t.Offset)
	if err != nil && err != io.EOF {
		return 0, err
	}
	b := buf[:n]
	if n == 0 {
		return 0, nil
	}
	if len(bytes.TrimLeft(b, "\x00")) == 0 {
		t.Offset += int64(n)
		return int64(n), nil
	}
	if !t.beginsAlike(t.file, math.MaxInt64) { // what was read is of a file that was truncated and grew again
		return 0, errReplaced
	}
	for {
		end := bytes.IndexByte(b, '\n')
		if end < 0 {
			break
		}
		t.handLine(b[:end], do)
		t.skipping = false
		b = b[end+1:]
	}
	if done = int64(n - len(b)); done == 0 && n == cap(buf) { // a line that is too long
		t.handLine(b, do)
		t.skipping, done = true, int64(n)
	}
	t.Offset += done
	return done, nil
}

// handLine calls do with a line. A file that was truncated begins with zeros if the program that writes it does not append.
func (t *tail) handLine(line []byte, do func(line []byte)) {
	if line = bytes.TrimLeft(line, "\x00"); !t.skipping {
		do(bytes.TrimSuffix(line, []byte("\r")))
	}
}

// unread returns how many bytes were not read, as of the last look.
func (t *tail) unread() int64 { return max(0, t.size-t.Offset) }
