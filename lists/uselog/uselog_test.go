package uselog

import (
	"sync"
	"testing"
	"time"
)

// TestNoteAtOnce notes uses while tables take each other's place: none that was noted in a table in use is lost.
func TestNoteAtOnce(t *testing.T) {
	now := time.Date(2026, 11, 29, 23, 59, 59, 0, time.UTC)
	keys := []uint64{KeyOf("192.0.2.1"), KeyOf("192.0.2.2"), KeyOf("192.0.2.3")}
	l := New(map[uint64]Use{keys[2]: {1, 2}}, now)
	table := l.NewTable(keys)
	var running sync.WaitGroup
	for range 4 {
		running.Go(func() {
			for i := range 1000 {
				table.Note(int32(i % 2))
			}
		})
	}
	for range 100 {
		l.Uses()
	}
	next := l.NewTable([]uint64{keys[1], keys[0], keys[2]})
	running.Wait()
	l.SetToday(now.Add(time.Second))
	next.Note(0)
	today := DayOf(now)
	want := map[uint64]Use{keys[0]: {today, today}, keys[1]: {today, today + 1}, keys[2]: {1, 2}}
	for key, use := range l.Uses() {
		if use != want[key] {
			t.Errorf("%x: %+v, want %+v", key, use, want[key])
		}
	}
	l.NewTable(keys[1:2])
	if uses := l.Uses(); len(uses) != 1 || uses[keys[1]] != want[keys[1]] {
		t.Errorf("%+v", uses)
	}
}
