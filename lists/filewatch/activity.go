package filewatch

import (
	"os"
	"sync"
	"time"
)

// Activity shows whether a goroutine waits for the file system: with a dead NFS server open(2), stat(2) and read(2) hang
// and cannot be interrupted. A nil Activity is valid and shows nothing.
type Activity struct {
	// Trace, if not nil, is called with the name of each call and its file.
	Trace func(call, file string)

	mu    sync.Mutex
	since time.Time // when the present call began; zero: there is none
	file  string
}

// Waiting returns for how long the present call has not returned, and its file; 0: there is none.
func (a *Activity) Waiting() (d time.Duration, file string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.since.IsZero() {
		return 0, ""
	}
	return time.Since(a.since), a.file
}

// begin marks the begin of a call; the function that it returns marks the end.
func (a *Activity) begin(call, file string) (end func()) {
	if a == nil {
		return func() {}
	}
	if a.Trace != nil {
		a.Trace(call, file)
	}
	a.setCall(time.Now(), file)
	return func() { a.setCall(time.Time{}, "") }
}

func (a *Activity) setCall(since time.Time, file string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.since, a.file = since, file
}

// watchedFile is a file whose reads show in an Activity.
type watchedFile struct {
	*os.File
	activity *Activity
}

func (f *watchedFile) ReadAt(p []byte, off int64) (int, error) {
	defer f.activity.begin("read", f.Name())()
	return f.File.ReadAt(p, off)
}
