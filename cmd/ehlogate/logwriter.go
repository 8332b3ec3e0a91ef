package main

import (
	"bytes"
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

// logWriter hands lines to whoever reads the log, and never waits for it: a
// log reader that stops must not stop the answers. What does not fit into the
// queue is lost, and counted.
type logWriter struct {
	out   io.Writer
	queue chan []byte
	lost  atomic.Uint64
	quit  chan struct{}
	done  chan struct{}
}

const (
	queuedLines = 1000        // a few seconds of a busy log
	lastWords   = time.Second // for the rest of the log at the end
)

func newLogWriter(out io.Writer) *logWriter {
	w := &logWriter{out: out, queue: make(chan []byte, queuedLines), quit: make(chan struct{}), done: make(chan struct{})}
	go w.run()
	return w
}

// Write queues a line. It never fails.
func (w *logWriter) Write(line []byte) (int, error) {
	select {
	case w.queue <- bytes.Clone(line):
	default:
		w.lost.Add(1)
	}
	return len(line), nil
}

func (w *logWriter) run() {
	defer close(w.done)
	for {
		select {
		case line := <-w.queue:
			w.write(line)
		case <-w.quit:
			for {
				select {
				case line := <-w.queue:
					w.write(line)
				default:
					return
				}
			}
		}
	}
}

func (w *logWriter) write(line []byte) {
	_, _ = w.out.Write(line) // to whom should it be told
	if n := w.lost.Swap(0); n > 0 {
		fmt.Fprintf(w.out, "%d log lines were lost, since nobody read them\n", n)
	}
}

// Close writes what is queued, as long as somebody reads it. Lines that come
// later are lost.
func (w *logWriter) Close() error {
	close(w.quit)
	select {
	case <-w.done:
	case <-time.After(lastWords):
	}
	return nil
}
