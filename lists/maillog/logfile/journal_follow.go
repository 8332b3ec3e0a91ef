package logfile

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"ehlogate/lists/lazyregexp"
)

// JournalEntry is an entry of the journal.
type JournalEntry struct {
	Line   []byte // as journalctl writes it; nil says that there is no new one
	Cursor string // finds the entry again
	// Follows reports that journalctl shows entries as they come. Before that it shows the older ones.
	Follows bool
	// Lost reports that entries before this one may be missing: the journal keeps what it has for some time only.
	Lost bool
}

var (
	// ErrJournalPassed is the error for a cursor whose entry the journal does not have any more, and from which on journalctl
	// finds nothing.
	ErrJournalPassed = errors.New("the journal does not have the entry that was read last")

	errCursor  = errors.New("invalid cursor")
	errStalled = errors.New("timeout: journalctl does not show new entries")
	errEnded   = errors.New("journalctl ended")
	errNone    = errors.New("there is no journal: is systemd-journald running, and Storage= in journald.conf not none?")
)

const (
	// checkJournal is how often a journalctl that shows nothing is checked. It may hang, or have missed a new file.
	checkJournal = 5 * time.Second
	// askJournal is how long a journalctl may take that shows one entry.
	askJournal = 20 * time.Second
)

var cursorForm = lazyregexp.New(`^[a-z]=[0-9a-f]{1,32}(;[a-z]=[0-9a-f]{1,32}){2,15}$`)

// IsCursor reports whether s can be a cursor of the journal.
func IsCursor(s string) bool { return cursorForm.MatchString(s) }

// NewestInJournal returns the cursor of the newest entry of a mail server; empty if there is none. It is an error if there is
// no journal that can be read.
func NewestInJournal(ctx context.Context) (cursor string, err error) {
	if cursor, err = newestEntry(ctx, journalMail); err != nil || cursor != "" {
		return cursor, err
	}
	any, err := newestEntry(ctx)
	if err == nil && any == "" { // systemd-journald itself has one
		err = errNone
	}
	return "", err
}

func newestEntry(ctx context.Context, match ...string) (cursor string, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, askJournal, fmt.Errorf("timeout: journalctl shows no entry in %v", askJournal))
	defer cancel()
	child, err := startJournal(ctx, append([]string{"--lines=1"}, match...)...)
	if err != nil {
		return "", err
	}
	err = EachLine(ctx, child, func(line []byte) { cursor = cursorOf(line) })
	if closed := child.Close(); closed != nil {
		err = closed
	}
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	return cursor, err
}

func cursorOf(line []byte) string {
	var entry struct {
		Cursor string `json:"__CURSOR"`
	}
	if json.Unmarshal(line, &entry) != nil {
		return ""
	}
	return entry.Cursor
}

// FollowJournal runs journalctl, and calls do with each entry of a mail server behind that of the cursor, or with each if it
// is empty, until ctx ends or journalctl does, which is an error. It also calls do, perhaps from another goroutine, when it
// finds that there is no new entry.
func FollowJournal(ctx context.Context, cursor string, do func(JournalEntry)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	f := &journalFollower{cursor: cursor, do: do}
	checked := make(chan struct{})
	go func() {
		defer close(checked)
		f.checkRegularly(ctx, cancel)
	}()
	// With --follow, journalctl leaves out what was logged before the last boot.
	err := f.read(ctx)
	if err == nil && cursor != "" && f.shown.Load() == nil {
		err = ErrJournalPassed
	}
	if err == nil {
		f.follows.Store(true)
		if err = f.read(ctx, "--follow", "--no-tail"); err == nil {
			err = errEnded
		}
	}
	cancel(err)
	<-checked
	return context.Cause(ctx)
}

// read runs a journalctl until it or ctx ends.
func (f *journalFollower) read(ctx context.Context, args ...string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if f.cursor != "" {
		// --after-cursor leaves out one entry too many if that of the cursor is gone.
		args = append(args, "--cursor="+f.cursor)
	}
	child, err := startJournal(ctx, append(args, journalMail)...)
	if err != nil {
		return err
	}
	if err = EachLine(ctx, child, f.hand); err != nil {
		cancel()
	}
	if closed := child.Close(); err == nil {
		err = closed
	}
	if errors.Is(err, errCursor) {
		err = fmt.Errorf("%w: %w", ErrJournalPassed, err)
	}
	return err
}

// hand hands out an entry, unless it is that of the cursor.
func (f *journalFollower) hand(line []byte) {
	e := JournalEntry{Line: bytes.Clone(line), Cursor: cursorOf(line), Follows: f.follows.Load()}
	switch {
	case f.cursor == "":
	case f.cursor == e.Cursor:
		e.Line = nil
	default:
		e.Lost = f.shown.Load() == nil
	}
	f.do(e)
	f.cursor = e.Cursor
	f.shown.Store(&e.Cursor)
}

// journalFollower is what the goroutines of FollowJournal share.
type journalFollower struct {
	cursor  string // of the entry that was read last
	do      func(JournalEntry)
	follows atomic.Bool
	shown   atomic.Pointer[string] // the cursor of the newest entry of journalctl; nil if it has shown none
}

// checkRegularly ends a journalctl that does not show what there is.
func (f *journalFollower) checkRegularly(ctx context.Context, end func(error)) {
	tick := time.NewTicker(checkJournal)
	defer tick.Stop()
	var before *string
	wasBehind := false
	for {
		if now := f.shown.Load(); now != before {
			before, wasBehind = now, false
		} else if newest, err := NewestInJournal(ctx); err != nil {
			end(err)
		} else {
			isBehind := newest != "" && (before == nil || newest != *before)
			switch {
			case !isBehind:
				f.do(JournalEntry{Follows: f.follows.Load()})
			case wasBehind && f.shown.Load() == before:
				end(errStalled)
			}
			wasBehind = isBehind
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
