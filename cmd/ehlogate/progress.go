package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"ehlogate/lists/maillog/logfile"
	"ehlogate/lists/printable"
)

// progress shows how far a command is, on a terminal only.
type progress struct {
	w           io.Writer // nil: nothing is shown
	total, done int64     // bytes as they are stored; total 0: not known
	begin       time.Time
}

func newProgress(stderr io.Writer, files []logfile.File) *progress {
	p := &progress{begin: time.Now()}
	if isTerminal(stderr) {
		p.w = stderr
	}
	for _, f := range files {
		p.total += f.Size
	}
	return p
}

// follow shows how far the reading of a log is, until stop is called.
func (p *progress) follow(name string, l *logfile.Log, size int64) (stop func()) {
	if p.w == nil {
		return func() {}
	}
	done := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				p.show(name, p.done+l.Consumed())
			case <-done:
				return
			}
		}
	}()
	return func() {
		close(done)
		<-ended
		p.done += size
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}

// show writes "mail.log.1   12 %   120 MB of 1.0 GB   85 MB/s   10s left" over what stood there.
func (p *progress) show(name string, done int64) {
	elapsed := time.Since(p.begin).Seconds()
	rate := float64(done) / max(elapsed, 0.001)
	name = printable.Escape(name[strings.LastIndexByte(name, '/')+1:])
	line := fmt.Sprintf("%s   %s   %s/s", name, byteText(float64(done)), byteText(rate))
	if p.total > 0 && done <= p.total && rate > 0 {
		left := time.Duration(float64(p.total-done) / rate * float64(time.Second)).Round(time.Second)
		line = fmt.Sprintf("%s   %d %%   %s of %s   %s/s   %v left", name, 100*done/p.total,
			byteText(float64(done)), byteText(float64(p.total)), byteText(rate), left)
	}
	fmt.Fprintf(p.w, "\r\x1b[K%.*s", terminalWidth(p.w)-1, line)
}

// terminalWidth returns how many characters a line of a terminal has. A longer one would take two, of which only the last
// can be written over.
func terminalWidth(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil && size.Col > 1 {
			return min(int(size.Col), 100)
		}
	}
	return 79
}

func byteText(n float64) string {
	for _, unit := range []string{"B", "kB", "MB", "GB"} {
		if n < 1000 {
			return fmt.Sprintf("%.3g %s", n, unit)
		}
		n /= 1000
	}
	return fmt.Sprintf("%.3g TB", n)
}
