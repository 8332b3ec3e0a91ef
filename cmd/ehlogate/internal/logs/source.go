package logs

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"ehlogate/lists/maillog"
	"ehlogate/lists/maillog/logfile"
)

const (
	// faultTime is how long a log must be unreadable until that is a fault. It is, for a moment, while it is rotated.
	faultTime = 5 * time.Second
	// hangTime is how long a file system may take.
	hangTime = 10 * time.Second
)

// source is one log.
type source struct {
	name   string
	reader *maillog.Reader // of the goroutine that follows the log
	// dropped counts datagrams that found no place in the queue.
	dropped atomic.Uint64

	mu        sync.Mutex
	positions []logfile.Position // of a file
	journal   *journalPosition   // nil: the journal was not read
	busy      time.Time          // since when a look at the log has not returned; zero: it has
	failing   time.Time          // since when the log cannot be read; zero: it can
	err       error              // of the last look
	more      bool               // the last look did not reach the end
	caughtUp  time.Time          // when the end was reached last; the start of the service if it was not
	newest    time.Time          // in the log
	warned    bool               // about the present fault
	counted   maillog.Stats
}

func (s *Service) newSource(name string) *source {
	return &source{name: name, reader: s.newReader(), caughtUp: s.clock()}
}

func (s *Service) newReader() *maillog.Reader {
	return maillog.NewReader(maillog.Options{Newest: s.clock()}, func(session *maillog.Session) {
		s.tally.addSession(session)
		if s.learn != nil {
			s.learn(session)
		}
	})
}

// follow reads a file until ctx ends.
func (s *Service) follow(ctx context.Context, src *source, saved []logfile.Position) {
	f := logfile.Follow(src.name, saved)
	defer f.Close()
	src.setPositions(saved)
	lastLine := time.Now()
	read := func(line []byte) {
		lastLine = time.Now()
		s.protect(src, func() { src.reader.Read(line) })
	}
	for ctx.Err() == nil {
		begin := time.Now()
		src.begin(s.clock())
		src.reader.SetTime(s.clock())
		more, err := f.Poll(begin, pollBudget, read)
		if !more && err == nil {
			s.protect(src, func() { src.reader.Wait(time.Since(lastLine)) })
		}
		if f.TakeLost() {
			s.notify(Event{Kind: LinesLost, Source: src.name})
		}
		s.countLines(src)
		s.report(src, src.end(s.clock(), f.Positions(), more, err))
		rest := restShare * time.Since(begin) * time.Duration(len(s.sources))
		if !more {
			rest = max(rest, pollTime)
		}
		if !sleep(ctx, rest) {
			return
		}
	}
}

// protect keeps a panic about a line from ending the daemon. The sessions that are open are lost.
func (s *Service) protect(src *source, do func()) {
	defer func() {
		if v := recover(); v != nil {
			s.countLines(src)
			s.tally.addLines(src.name, Lines{Unread: 1})
			src.reader, src.counted = s.newReader(), maillog.Stats{}
			s.notify(Event{Kind: Panicked, Source: src.name, Err: fmt.Errorf("%v", v), Stack: debug.Stack()})
		}
	}()
	do()
}

func (src *source) setPositions(p []logfile.Position) {
	src.mu.Lock()
	defer src.mu.Unlock()
	src.positions = p
}

func (src *source) begin(now time.Time) {
	src.mu.Lock()
	defer src.mu.Unlock()
	src.busy = now
}

// end takes the result of a look. It returns the kind of event to report; "" for none.
func (src *source) end(now time.Time, positions []logfile.Position, more bool, err error) EventKind {
	src.mu.Lock()
	defer src.mu.Unlock()
	src.busy, src.positions, src.more, src.err = time.Time{}, positions, more, err
	src.newest = src.reader.Latest()
	if err != nil {
		if src.failing.IsZero() {
			src.failing = now
		}
		if !src.warned && now.Sub(src.failing) >= faultTime {
			src.warned = true
			return Unreadable
		}
		return ""
	}
	src.failing = time.Time{}
	if !more {
		src.caughtUp = now
	}
	if src.warned {
		src.warned = false
		return Readable
	}
	return ""
}

func (src *source) isFailing() bool {
	src.mu.Lock()
	defer src.mu.Unlock()
	return !src.failing.IsZero()
}

// countLines counts what was read since the last call.
func (s *Service) countLines(src *source) {
	stats := src.reader.Stats()
	unread := func(s maillog.Stats) int64 { return s.Unframed + s.Unclear }
	s.tally.addLines(src.name, Lines{uint64(stats.Lines - src.counted.Lines), uint64(unread(stats) - unread(src.counted))})
	if stats.Local > src.counted.Local {
		s.notify(Event{Kind: ServerTrouble, Source: src.name})
	}
	src.counted = stats
}

func (s *Service) report(src *source, kind EventKind) {
	if kind != "" {
		s.notify(Event{Kind: kind, Source: src.name, Err: src.err})
	}
}
