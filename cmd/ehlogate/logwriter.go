package main

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// logWriter hands lines to whoever reads the log, and never waits for it: a
// log reader that stops must not stop the answers. What there is no room for is
// lost, and counted.
//
// Lines that come together are written together: to wake somebody who writes
// each as it comes costs more than the answer that it is about.
type logWriter struct {
	out io.Writer

	mu      sync.Mutex
	waiting []byte // lines
	count   int    // of them
	lost    int
	armed   bool // somebody will write what is waiting

	writing sync.Mutex // held while out is written to
}

const (
	queuedLines = 1000                  // a few seconds of a busy log
	gather      = 20 * time.Millisecond // before lines are written
	lastWords   = time.Second           // for the rest of the log at the end
)

func newLogWriter(out io.Writer) *logWriter { return &logWriter{out: out} }

// Write takes a line. It never fails.
func (w *logWriter) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.count == queuedLines {
		w.lost++
		return len(line), nil
	}
	w.waiting = append(w.waiting, line...)
	w.count++
	if !w.armed {
		w.armed = true
		time.AfterFunc(gather, w.run)
	}
	return len(line), nil
}

// run writes what is waiting, and comes again if more came meanwhile.
func (w *logWriter) run() {
	w.flush()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.armed = w.count > 0; w.armed {
		time.AfterFunc(gather, w.run)
	}
}

func (w *logWriter) flush() {
	w.writing.Lock()
	defer w.writing.Unlock()
	w.mu.Lock()
	lines, lost := w.waiting, w.lost
	w.waiting, w.count, w.lost = nil, 0, 0
	w.mu.Unlock()
	if lost > 0 {
		lines = fmt.Appendf(lines, "%d log lines were lost, since nobody read them\n", lost)
	}
	if len(lines) > 0 {
		_, _ = w.out.Write(lines) // to whom should it be told
	}
}

// Close writes what is waiting, as long as somebody reads it.
func (w *logWriter) Close() error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.flush()
	}()
	select {
	case <-done:
	case <-time.After(lastWords):
	}
	return nil
}
