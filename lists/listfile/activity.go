package listfile

import (
	"os"
	"sync"
	"time"
)

// Activity shows from outside whether a load waits for the file system: a dead
// NFS server lets open(2), stat(2) and read(2) hang for ever, and nothing can
// end them. nil is an Activity that shows nothing.
type Activity struct {
	mu    sync.Mutex
	since time.Time // when the present call began; zero: there is none
	name  string
}

// Waiting is for how long the present call has not returned, and the file that
// it is about; 0: there is none.
func (a *Activity) Waiting() (d time.Duration, name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.since.IsZero() {
		return 0, ""
	}
	return time.Since(a.since), a.name
}

// begin marks the begin of a call, and the function that it returns the end.
func (a *Activity) begin(name string) (end func()) {
	if a == nil {
		return func() {}
	}
	a.mark(time.Now(), name)
	return func() { a.mark(time.Time{}, "") }
}

func (a *Activity) mark(t time.Time, name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.since, a.name = t, name
}

// watchedFile is a file whose reads show in an Activity.
type watchedFile struct {
	*os.File
	io *Activity
}

// Read implements io.Reader.
func (f *watchedFile) Read(p []byte) (int, error) {
	defer f.io.begin(f.Name())()
	return f.File.Read(p)
}
