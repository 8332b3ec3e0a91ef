//go:build !linux

package replace

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// SetModTime sets the modification time of an open file, to the microsecond, whatever its name is by now.
func SetModTime(f *os.File, t time.Time) error {
	tv := unix.NsecToTimeval(t.UnixNano())
	return unix.Futimes(int(f.Fd()), []unix.Timeval{tv, tv})
}
