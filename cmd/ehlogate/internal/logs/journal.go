package logs

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"ehlogate/lists/maillog/logfile"
)

const (
	// maxEntries is how many entries of the journal wait to be read. journalctl waits if there are more.
	maxEntries = 100
	// The time between the end of a journalctl and the next: it doubles while none shows entries as they come.
	minJournalRetry = time.Second
	maxJournalRetry = 30 * time.Second
)

// followJournal reads the journal until ctx ends.
func (s *Service) followJournal(ctx context.Context, src *source, saved *journalPosition) {
	src.setJournal(saved)
	for retry := minJournalRetry; ; retry = min(2*retry, maxJournalRetry) {
		src.begin(s.clock())
		shown, err := s.runJournal(ctx, src)
		if ctx.Err() != nil {
			return
		}
		if shown {
			retry = minJournalRetry
		}
		if errors.Is(err, logfile.ErrJournalPassed) {
			src.setJournal(nil)
			s.notify(Event{Kind: LinesLost, Source: src.name, Err: err})
		}
		s.report(src, src.end(s.clock(), nil, false, err))
		if !sleep(ctx, retry) {
			return
		}
	}
}

// runJournal reads what journalctl shows until it or ctx ends. It reports whether it showed entries as they come.
func (s *Service) runJournal(ctx context.Context, src *source) (bool, error) {
	newest, err := logfile.NewestInJournal(ctx)
	if err != nil {
		return false, err
	}
	if src.journal == nil {
		src.setJournal(&journalPosition{newest})
	}
	cursor := src.journal.Cursor
	queue, failed := make(chan queued, maxEntries), make(chan error, 1)
	var shown atomic.Bool
	go func() {
		failed <- logfile.FollowJournal(ctx, cursor, func(e logfile.JournalEntry) {
			if e.Follows {
				shown.Store(true)
			}
			if e.Lost {
				s.notify(Event{Kind: LinesLost, Source: src.name})
			}
			select {
			case queue <- queued{e.Line, e.Cursor, e.Follows}:
			case <-ctx.Done():
			}
		})
	}()
	err = s.consume(ctx, src, queue, failed, func() error { return nil })
	return shown.Load(), err
}

// setJournal is about the source that is the journal, as is setCursor. Only the goroutine that follows it calls them.
func (src *source) setJournal(p *journalPosition) {
	src.mu.Lock()
	defer src.mu.Unlock()
	src.journal = p
}

func (src *source) setCursor(cursor string) {
	if cursor != "" {
		src.setJournal(&journalPosition{cursor})
	}
}
