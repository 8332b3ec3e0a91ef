package logfile

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"context"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// Log is an open log. It is read decompressed.
type Log struct {
	io.Reader
	source   io.Closer
	consumed atomic.Int64
	close    func()
}

// Consumed returns how many bytes were read of what is stored. It may be called while another goroutine reads.
func (l *Log) Consumed() int64 { return l.consumed.Load() }

// Close closes the file.
func (l *Log) Close() error {
	if l.close != nil {
		l.close()
	}
	return l.source.Close()
}

// Open opens a file. What compressed it is told by its first bytes, since its name may have changed. When ctx ends, no one
// waits for a pipe any more.
func Open(ctx context.Context, path string) (*Log, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	open := func() (io.ReadCloser, error) { return os.Open(path) }
	if !info.Mode().IsRegular() {
		wait := open
		open = func() (io.ReadCloser, error) { return readUntil(ctx, wait), nil }
	}
	f, err := open()
	if err != nil {
		return nil, err
	}
	l, err := newLog(f)
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return l, nil
}

// NewLog reads a log, compressed or not, from a pipe, until ctx ends.
func NewLog(ctx context.Context, r io.ReadCloser) (*Log, error) {
	return newLog(readUntil(ctx, func() (io.ReadCloser, error) { return r, nil }))
}

// readUntil returns a reader of what open opens. It has an error when ctx ends, even if open or a read goes on to wait.
func readUntil(ctx context.Context, open func() (io.ReadCloser, error)) io.ReadCloser {
	out, in := io.Pipe()
	go func() {
		r, err := open()
		if err == nil {
			_, err = io.CopyBuffer(struct{ io.Writer }{in}, struct{ io.Reader }{r}, make([]byte, pipeSize))
			r.Close()
		}
		in.CloseWithError(err)
	}()
	context.AfterFunc(ctx, func() { in.CloseWithError(ctx.Err()) })
	return out
}

// pipeSize is how much is read from a pipe at once.
const pipeSize = 1 << 16

// maxWindow bounds the memory of a decompressor. xz -9 needs 64 MiB, zstd --long 128 MiB.
const maxWindow = 128 << 20

func newLog(r io.ReadCloser) (*Log, error) {
	l := &Log{source: r}
	stored := bufio.NewReaderSize(&counter{r, &l.consumed}, 1<<16)
	magic, err := stored.Peek(6)
	if err != nil && err != io.EOF {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(magic, []byte("\x1f\x8b")):
		l.Reader, err = gzip.NewReader(stored)
	case bytes.HasPrefix(magic, []byte("\x28\xb5\x2f\xfd")):
		var d *zstd.Decoder
		if d, err = zstd.NewReader(stored, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow)); err == nil {
			l.Reader, l.close = d, d.Close
		}
	case bytes.HasPrefix(magic, []byte("\xfd7zXZ\x00")):
		l.Reader, err = xz.ReaderConfig{DictCap: maxWindow}.NewReader(stored)
	case bytes.HasPrefix(magic, []byte("BZh")):
		l.Reader = bzip2.NewReader(stored)
	default:
		l.Reader, err = stored, nil
	}
	if err != nil {
		return nil, err
	}
	return l, nil
}

type counter struct {
	r io.Reader
	n *atomic.Int64
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n.Add(int64(n))
	return n, err
}

// maxLine is how much of a line is kept; the rest is skipped.
const maxLine = 1 << 20

// EachLine calls do with each line of r, without its end, until ctx ends. The line is valid until do returns. What follows
// maxLine bytes of a line is left out.
func EachLine(ctx context.Context, r io.Reader, do func(line []byte)) error {
	buf := make([]byte, maxLine)
	begin, end := 0, 0 // buf[begin:end] is not done
	skipping := false  // the rest of a line
	for {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		n, err := r.Read(buf[end:])
		from := end // what is before has no end of a line
		end += n
		for {
			at := bytes.IndexByte(buf[from:end], '\n')
			if at < 0 {
				break
			}
			if line := buf[begin : from+at]; !skipping {
				do(bytes.TrimSuffix(line, []byte("\r")))
			}
			skipping = false
			from += at + 1
			begin = from
		}
		if begin == 0 && end == len(buf) { // longer than maxLine
			if !skipping {
				do(buf)
			}
			skipping, end = true, 0
		}
		if begin > 0 {
			copy(buf, buf[begin:end])
			begin, end = 0, end-begin
		}
		if err == io.EOF {
			if end > 0 && !skipping {
				do(bytes.TrimSuffix(buf[:end], []byte("\r")))
			}
			return nil
		}
		if err != nil {
			return err
		}
	}
}
