package main

import (
	"io"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/cmd/ehlogate/internal/logformat"
)

func newLogger(c config.Log, w io.Writer) *logrus.Logger {
	log := logrus.New()
	log.SetOutput(w)
	log.SetLevel(c.Level)
	log.SetFormatter(logformat.New(c.JSON))
	return log
}

// logWriter passes lines to the reader of the log and never waits for it: a reader that hangs must not delay answers. If
// there is no room for a line, it is lost and counted.
//
// Lines that come together are written together: waking the reader for each line costs more than the answer that the line
// is about.
type logWriter struct {
	out    io.Writer
	format logrus.Formatter // of the line about lost lines

	mu        sync.Mutex
	queue     []byte // lines
	queued    int    // number of lines in queue
	lost      int
	scheduled bool // the queue will be written

	writing sync.Mutex // held while out is written to
}

const (
	maxQueuedLines = 1000                  // a few seconds of a busy log
	gatherTime     = 20 * time.Millisecond // before lines are written
	closeTimeout   = time.Second           // for the rest of the log at the end
)

func newLogWriter(out io.Writer, format logrus.Formatter) *logWriter {
	return &logWriter{out: out, format: format}
}

// Write takes a line. It never fails.
func (w *logWriter) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.queued == maxQueuedLines {
		w.lost++
		return len(line), nil
	}
	w.queue = append(w.queue, line...)
	w.queued++
	if !w.scheduled {
		w.scheduled = true
		time.AfterFunc(gatherTime, w.writeQueue)
	}
	return len(line), nil
}

// writeQueue writes the queue, and is scheduled again if more lines came meanwhile.
func (w *logWriter) writeQueue() {
	w.flush()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.scheduled = w.queued > 0; w.scheduled {
		time.AfterFunc(gatherTime, w.writeQueue)
	}
}

func (w *logWriter) flush() {
	w.writing.Lock()
	defer w.writing.Unlock()
	w.mu.Lock()
	lines, lost := w.queue, w.lost
	w.queue, w.queued, w.lost = nil, 0, 0
	w.mu.Unlock()
	if lost > 0 {
		line, _ := w.format.Format(&logrus.Entry{Time: time.Now(), Level: logrus.WarnLevel,
			Message: "log lines were lost: the reader of the log is too slow", Data: logrus.Fields{"not_logged": lost}})
		lines = append(lines, line...)
	}
	if len(lines) > 0 {
		_, _ = w.out.Write(lines) // there is no other place to report an error
	}
}

// Close writes the queue, and gives up after closeTimeout.
func (w *logWriter) Close() error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.flush()
	}()
	select {
	case <-done:
	case <-time.After(closeTimeout):
	}
	return nil
}
