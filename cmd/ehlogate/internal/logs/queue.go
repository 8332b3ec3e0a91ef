package logs

import (
	"context"
	"time"
)

// gatherTime is the time in which lines that come together are gathered.
const gatherTime = 10 * time.Millisecond

// queued is a line that waits to be read; nil if it only says that the source works.
type queued struct {
	line   []byte
	cursor string // of the journal; empty for others
	works  bool   // the source can be read, from now on
}

// consume reads the lines of a queue until failed has how that which fills the queue ended, or check fails. It rests between,
// but not when ctx has ended.
func (s *Service) consume(ctx context.Context, src *source, queue <-chan queued, failed <-chan error, check func() error) error {
	for lastLine := time.Now(); ; {
		var lines []queued
		var ended bool
		var err error
		select {
		case line := <-queue:
			lines, lastLine = append(lines, line), time.Now()
		case <-time.After(pollTime):
		case err = <-failed:
			ended = true
		}
		begin := time.Now()
		src.begin(s.clock())
		src.reader.SetTime(s.clock())
		for range len(queue) {
			lines = append(lines, <-queue)
		}
		works := !src.isFailing()
		for _, q := range lines {
			works = works || q.works
			if q.line != nil {
				s.protect(src, func() { src.reader.Read(q.line) })
				src.setCursor(q.cursor)
			}
		}
		s.protect(src, func() { src.reader.Wait(time.Since(lastLine)) })
		dropped := src.dropped.Swap(0)
		if s.tally.addLines(src.name, Lines{All: dropped, Unread: dropped}); dropped > 0 {
			s.notify(Event{Kind: LinesDropped, Source: src.name})
		}
		s.countLines(src)
		if works {
			s.report(src, src.end(s.clock(), nil, len(queue) > 0, nil))
		}
		if ended {
			return err
		}
		if err := check(); err != nil && ctx.Err() == nil {
			return err
		}
		sleep(ctx, gatherTime+restShare*time.Since(begin)*time.Duration(len(s.sources)))
	}
}
